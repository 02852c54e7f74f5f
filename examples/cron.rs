//! When a cron expression is due on the nights on which the clocks are changed, and a job that runs
//! every so often while we look.
//!
//! ```text
//! cargo run --release --features calendar --example cron -- --zone America/New_York "30 2 * * *" "*/30 * * * *"
//! ```

use clap::Parser;
use comfy_table::{Table, presets::UTF8_FULL_CONDENSED};
use jiff::tz::TimeZone;
use jiff::{Timestamp, ToSpan, civil};
use std::error::Error;
use std::time::{Duration, SystemTime};
use windlass::schedule::{Cron, Overlap, ScheduleEventKind};
use windlass::{Pool, Priority};

#[derive(Parser)]
struct Args {
    /// Cron expressions, of five fields or of six with seconds.
    #[arg(default_values = ["30 2 * * *", "30 1 * * *", "*/30 * * * *"])]
    expressions: Vec<String>,
    /// A time zone, by its name.
    #[arg(long, default_value = "Europe/Berlin")]
    zone: String,
    /// The year whose changes are shown.
    #[arg(long, default_value_t = 2026)]
    year: i16,
    /// For how long the job runs, in milliseconds.
    #[arg(long, default_value_t = 1_000)]
    live: u64,
}

/// The times of the year at which the wall clock of a zone is changed.
fn changes(zone: &TimeZone, year: i16) -> Result<Vec<Timestamp>, Box<dyn Error>> {
    let start = civil::date(year, 1, 1).to_zoned_datetime(zone.clone())?.timestamp();
    let end = civil::date(year + 1, 1, 1).to_zoned_datetime(zone.clone())?.timestamp();
    let after = zone.following(start).map(|change| change.timestamp());
    Ok(after.take_while(|change| *change < end).collect())
}

/// A table of what is due in the hours around a change.
fn around(change: Timestamp, zone: &TimeZone, args: &Args) -> Result<Table, Box<dyn Error>> {
    let mut table = Table::new();
    table.load_style(UTF8_FULL_CONDENSED);
    table.set_header(["expression", "due, by the clock on the wall"]);
    let from = SystemTime::try_from(change - 2.hours())?;
    for expression in &args.expressions {
        let cron = Cron::in_zone(expression, &args.zone)?;
        let due = std::iter::successors(cron.next_after(from), |due| cron.next_after(*due));
        let due: Result<Vec<String>, jiff::Error> = due
            .map(Timestamp::try_from)
            .take_while(|due| due.as_ref().is_ok_and(|due| *due < change + 2.hours()))
            .map(|due| Ok(due?.to_zoned_datetime(zone.clone()).strftime("%H:%M %Z").to_string()))
            .collect();
        table.add_row([expression.clone(), due?.join(", ")]);
    }
    Ok(table)
}

/// Runs a job every 100 ms. One run takes too long, so that the next two are skipped, and nothing
/// drifts for all that.
fn live(args: &Args) -> Result<(), Box<dyn Error>> {
    let pool = Pool::builder().workers(2).build()?;
    let start = std::time::Instant::now();
    let tick = pool
        .schedule("tick")
        .every(Duration::from_millis(100))
        .immediately()
        .overlap(Overlap::Skip)
        .priority(Priority::High)
        .on_event(|event| {
            if let ScheduleEventKind::Skipped { reason, count, .. } = event.kind {
                println!("       skipped {count}: {reason:?}");
            }
        })
        .start_with(move |run| {
            println!("{:>4} ms run {}", start.elapsed().as_millis(), run.number());
            if run.number() == 3 {
                std::thread::sleep(Duration::from_millis(250));
            }
        })?;
    std::thread::sleep(Duration::from_millis(args.live));
    tick.cancel();
    pool.wait_idle(Duration::from_secs(10));
    let stats = tick.stats();
    let (mean, max) = (stats.lateness.mean(), stats.lateness.max);
    println!(
        "{} runs, {} skipped; late by {mean:?} in the mean, {max:?} at most",
        stats.runs, stats.skipped
    );
    Ok(())
}

fn main() -> Result<(), Box<dyn Error>> {
    let args = Args::parse();
    let zone = TimeZone::get(&args.zone)?;
    for change in changes(&zone, args.year)? {
        println!("{} at {change}", args.zone);
        println!("{}\n", around(change, &zone, &args)?);
    }
    live(&args)
}
