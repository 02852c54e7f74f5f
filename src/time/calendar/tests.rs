use super::civil::{CYCLE, Date, weekday};
use super::zone::Zone;
use super::{Calendar, CalendarError, Cron, FieldProblem, seconds_of, wall_of};
use crate::time::trigger::{Trigger, TriggerCx};
use crate::time::when::{Moment, When};
use jiff::civil::{DateTime, Weekday};
use jiff::tz::TimeZone;
use jiff::{Timestamp, ToSpan};
use std::time::{Duration, Instant, SystemTime};

fn seconds(text: &str) -> i64 {
    text.parse::<Timestamp>().unwrap().as_second()
}

fn text(seconds: i64) -> String {
    Timestamp::from_second(seconds).unwrap().to_string()
}

/// The times of `expression` after `from`, up to `until`, in UTC without their date if that is the
/// day of `until`.
fn times(zone: &str, expression: &str, from: &str, until: &str) -> Vec<String> {
    let cron = Cron::in_zone(expression, zone).unwrap();
    let (mut at, until) = (seconds(from), seconds(until));
    let mut found = Vec::new();
    while let Some(next) = cron.next_second(at).filter(|&next| next <= until) {
        assert!(next > at, "{cron} goes from {} to {}", text(at), text(next));
        found.push(text(next));
        at = next;
    }
    found
}

#[track_caller]
fn check(zone: &str, expression: &str, span: [&str; 2], expected: &[&str]) {
    let found = times(zone, expression, span[0], span[1]);
    assert_eq!(found, expected, "{expression} in {zone}");
}

// ---- civil days ----------------------------------------------------------------------------------

#[test]
fn days_and_dates_go_both_ways() {
    let mut date: jiff::civil::Date = "1599-12-01".parse().unwrap();
    let epoch: jiff::civil::Date = "1970-01-01".parse().unwrap();
    let mut days = i64::from((date - epoch).get_days());
    while date.year() < 2402 {
        let own = Date::from_days(days);
        let expected = (i64::from(date.year()), date.month() as u32, date.day() as u32);
        assert_eq!((own.year, own.month, own.day), expected);
        assert_eq!(own.to_days(), days);
        assert_eq!(own.days_in_month(), date.days_in_month() as u32);
        assert_eq!(weekday(days), date.weekday().to_sunday_zero_offset() as u32);
        (date, days) = (date.tomorrow().unwrap(), days + 1);
    }
    assert_eq!(CYCLE % (7 * 86_400), 0);
    let january = Date { year: 2024, month: 1, day: 31 };
    let months = |n| {
        let date = january.plus_months(n);
        (date.year, date.month, date.day)
    };
    assert_eq!((months(1), months(13)), ((2024, 2, 29), (2025, 2, 28)));
    assert_eq!(
        (months(2), months(-1), months(-14)),
        ((2024, 3, 31), (2023, 12, 31), (2022, 11, 30))
    );
}

#[test]
fn wall_time_is_rounded_down() {
    let half = Duration::from_millis(500);
    assert_eq!(seconds_of(SystemTime::UNIX_EPOCH + half), Some(0));
    assert_eq!(seconds_of(SystemTime::UNIX_EPOCH - half), Some(-1));
    assert_eq!(seconds_of(SystemTime::UNIX_EPOCH - 2 * half), Some(-1));
    for seconds in [-1, 0, 1, 1_700_000_000] {
        assert_eq!(seconds_of(wall_of(seconds).unwrap()), Some(seconds));
    }
}

// ---- the table of summer and winter --------------------------------------------------------------

/// 2:00 EST becomes 3:00 EDT at 07:00 UTC.
#[test]
fn new_york_skips_an_hour() {
    let days = ["2025-03-08T12:00:00Z", "2025-03-10T12:00:00Z"];
    let night = ["2025-03-09T06:00:00Z", "2025-03-09T08:00:00Z"];
    let zone = "America/New_York";
    check(zone, "30 2 * * *", days, &["2025-03-09T07:00:00Z", "2025-03-10T06:30:00Z"]);
    check(zone, "30 2 9 3 *", days, &["2025-03-09T07:00:00Z"]);
    check(zone, "0 30 2 * * *", days, &["2025-03-09T07:00:00Z", "2025-03-10T06:30:00Z"]);
    // Several of them once, and once with one that there is.
    check(zone, "0,15,30,45 2 * * *", night, &["2025-03-09T07:00:00Z"]);
    check(zone, "30 2,3 * * *", night, &["2025-03-09T07:00:00Z", "2025-03-09T07:30:00Z"]);
    check(zone, "0 2,3 * * *", night, &["2025-03-09T07:00:00Z"]);
    check(zone, "0 3 * * *", night, &["2025-03-09T07:00:00Z"]);
    check(zone, "59 1 * * *", night, &["2025-03-09T06:59:00Z"]);
    // A rhythm goes on.
    check(zone, "30 * * * *", night, &["2025-03-09T06:30:00Z", "2025-03-09T07:30:00Z"]);
    check(
        zone,
        "*/20 * * * *",
        ["2025-03-09T06:30:00Z", "2025-03-09T07:30:00Z"],
        &["2025-03-09T06:40:00Z", "2025-03-09T07:00:00Z", "2025-03-09T07:20:00Z"],
    );
    check(zone, "*/30 2 * * *", days, &["2025-03-10T06:00:00Z", "2025-03-10T06:30:00Z"]);
    check(zone, "0 */2 * * *", night, &["2025-03-09T08:00:00Z"]);
    // Days before and after it.
    check(
        zone,
        "@daily",
        ["2025-03-08T00:00:00Z", "2025-03-11T00:00:00Z"],
        &["2025-03-08T05:00:00Z", "2025-03-09T05:00:00Z", "2025-03-10T04:00:00Z"],
    );
}

/// 2:00 EDT becomes 1:00 EST at 06:00 UTC.
#[test]
fn new_york_repeats_an_hour() {
    let days = ["2025-11-02T04:00:00Z", "2025-11-03T07:00:00Z"];
    let night = ["2025-11-02T04:59:00Z", "2025-11-02T07:00:00Z"];
    let zone = "America/New_York";
    check(zone, "30 1 * * *", days, &["2025-11-02T05:30:00Z", "2025-11-03T06:30:00Z"]);
    check(zone, "0,30 1 * * *", night, &["2025-11-02T05:00:00Z", "2025-11-02T05:30:00Z"]);
    check(zone, "30 0-2 * * *", night, &["2025-11-02T05:30:00Z"]);
    check(zone, "0 2 * * *", night, &["2025-11-02T07:00:00Z"]);
    check(zone, "30 * * * *", night, &["2025-11-02T05:30:00Z", "2025-11-02T06:30:00Z"]);
    check(
        zone,
        "*/30 1 * * *",
        night,
        &[
            "2025-11-02T05:00:00Z",
            "2025-11-02T05:30:00Z",
            "2025-11-02T06:00:00Z",
            "2025-11-02T06:30:00Z",
        ],
    );
    // Asked in the middle of the second hour.
    check(zone, "45 1 * * *", ["2025-11-02T06:10:00Z", "2025-11-02T12:00:00Z"], &[]);
}

/// By half an hour: 2:00 becomes 2:30 at 15:30 UTC, and 1:30 at 15:00 UTC.
#[test]
fn lord_howe_is_set_by_half_an_hour() {
    let zone = "Australia/Lord_Howe";
    let spring = ["2025-10-04T15:00:00Z", "2025-10-05T16:00:00Z"];
    check(zone, "15 2 * * *", spring, &["2025-10-04T15:30:00Z", "2025-10-05T15:15:00Z"]);
    check(
        zone,
        "*/15 * * * *",
        ["2025-10-04T15:00:00Z", "2025-10-04T15:45:00Z"],
        &["2025-10-04T15:15:00Z", "2025-10-04T15:30:00Z", "2025-10-04T15:45:00Z"],
    );
    check(
        zone,
        "0 * * * *",
        ["2025-10-04T14:00:00Z", "2025-10-04T17:00:00Z"],
        &["2025-10-04T14:30:00Z", "2025-10-04T16:00:00Z", "2025-10-04T17:00:00Z"],
    );
    let autumn = ["2025-04-05T14:00:00Z", "2025-04-06T16:00:00Z"];
    check(zone, "45 1 * * *", autumn, &["2025-04-05T14:45:00Z", "2025-04-06T15:15:00Z"]);
    check(
        zone,
        "45 * * * *",
        ["2025-04-05T14:00:00Z", "2025-04-05T16:30:00Z"],
        &["2025-04-05T14:45:00Z", "2025-04-05T15:15:00Z", "2025-04-05T16:15:00Z"],
    );
}

/// Midnight to one: midnight is not there on that day.
#[test]
fn havana_and_santiago_skip_midnight() {
    let havana = ["2025-03-08T12:00:00Z", "2025-03-10T12:00:00Z"];
    let expected = ["2025-03-09T05:00:00Z", "2025-03-10T04:00:00Z"];
    check("America/Havana", "0 0 * * *", havana, &expected);
    check("America/Havana", "@daily", havana, &expected);
    check("America/Havana", "@weekly", havana, &expected[..1]);
    let santiago = ["2025-09-06T12:00:00Z", "2025-09-08T12:00:00Z"];
    let expected = ["2025-09-07T04:00:00Z", "2025-09-08T03:00:00Z"];
    check("America/Santiago", "0 0 * * *", santiago, &expected);
    // 0:00 to 23:00 of the day before.
    let autumn = ["2025-04-05T12:00:00Z", "2025-04-07T12:00:00Z"];
    let expected = ["2025-04-06T02:30:00Z", "2025-04-07T03:30:00Z"];
    check("America/Santiago", "30 23 * * *", autumn, &expected);
}

/// The whole of 2011-12-30.
#[test]
fn apia_skips_a_day() {
    let span = ["2011-12-29T12:00:00Z", "2011-12-31T12:00:00Z"];
    let expected = ["2011-12-29T20:00:00Z", "2011-12-30T10:00:00Z", "2011-12-30T20:00:00Z"];
    check("Pacific/Apia", "0 10 * * *", span, &expected);
    check("Pacific/Apia", "0 10 30 12 *", span, &["2011-12-30T10:00:00Z"]);
    check("Pacific/Apia", "*/30 10 30 12 *", span, &[]);
}

/// node-cron #938: an expression that would only ever match in a gap.
#[test]
fn what_only_matches_in_gaps_is_found_to_be_nothing() {
    // The second Sunday of March, where summer begins on that day.
    let rhythm = Cron::in_zone("*/10 2 * 3 0#2", "America/New_York").unwrap();
    assert_eq!(rhythm.next_second(seconds("2025-03-01T00:00:00Z")), None);
    let fixed = Cron::in_zone("30 2 * 3 0#2", "America/New_York").unwrap();
    let mut at = seconds("2025-03-01T00:00:00Z");
    for year in 2025..2425 {
        let next = fixed.next_second(at).unwrap();
        assert!(next > at && text(next).starts_with(&year.to_string()));
        at = next;
    }
}

// ---- against a search by brute force -------------------------------------------------------------

/// Whether a civil time fits, by other means than those of `Cron`.
fn fits(expression: &str, at: DateTime) -> bool {
    let fields: Vec<&str> = expression.split(' ').collect();
    let has = |field: &str, n: i8| {
        field.split(',').any(|part| {
            let (range, step) = part.split_once('/').unwrap_or((part, "1"));
            let step: i8 = step.parse().unwrap();
            let (first, last) = match range.split_once('-') {
                Some((first, last)) => (first.parse().unwrap(), last.parse().unwrap()),
                None if range == "*" => (i8::from(std::ptr::eq(field, fields[2])), 99),
                None => (range.parse().unwrap(), range.parse().unwrap()),
            };
            (first..=last).contains(&n) && (n - first) % step == 0
        })
    };
    let month = |n: i8| {
        let (range, step) = fields[3].split_once('/').unwrap_or((fields[3], "1"));
        range != "*" && has(fields[3], n)
            || range == "*" && (n - 1) % step.parse::<i8>().unwrap() == 0
    };
    let week = at.weekday().to_sunday_zero_offset();
    let (day, week) =
        (has(fields[2], at.day()), has(fields[4], week) || week == 0 && has(fields[4], 7));
    let is_both = fields[2].starts_with('*') || fields[4].starts_with('*');
    has(fields[0], at.minute())
        && has(fields[1], at.hour())
        && month(at.month())
        && if is_both { day && week } else { day || week }
}

/// The times of an expression in a span, minute by minute.
fn by_brute_force(expression: &str, zone: &TimeZone, from: i64, until: i64) -> Vec<i64> {
    let fields: Vec<&str> = expression.split(' ').collect();
    let is_fixed = !fields[0].starts_with('*') && !fields[1].starts_with('*');
    let civil = |at: i64| zone.to_datetime(Timestamp::from_second(at).unwrap());
    let mut found = Vec::new();
    let mut seen: Option<DateTime> = None;
    // From long before, so that it is known what the wall has shown.
    for at in (from - 86_400 * 2..=until).step_by(60) {
        let now = civil(at);
        let mut is_due = fits(expression, now);
        if is_fixed {
            let mut skipped = seen.map_or(now, |seen| seen + 1.minute());
            is_due &= seen.is_none_or(|seen| now > seen);
            while skipped < now {
                is_due |= fits(expression, skipped);
                skipped += 1.minute();
            }
            seen = seen.max(Some(now));
        }
        if is_due && at > from {
            found.push(at);
        }
    }
    found
}

#[test]
fn a_search_by_brute_force_finds_the_same() {
    let mut state = 1_u64;
    let mut random = |below: usize| {
        state =
            state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (state >> 33) as usize % below
    };
    let minutes = ["*", "0", "30", "15,45", "*/20", "10-50/20", "59", "1,2,58", "*/7"];
    let hours = ["*", "0", "1", "2", "3", "1-3", "*/2", "0,23", "2,3", "12", "*/5", "22-23"];
    let days = ["*", "*", "*", "1", "9", "31", "1-7", "*/2", "28-31"];
    let months = ["*", "*", "*", "3", "11", "*/2", "4,10", "3-4"];
    let weeks = ["*", "*", "*", "0", "7", "1-5", "0,6", "5", "*/3"];
    let places = [
        ("America/New_York", "2025-03-09T07:00:00Z"),
        ("America/New_York", "2025-11-02T06:00:00Z"),
        ("Australia/Lord_Howe", "2025-10-04T15:30:00Z"),
        ("Australia/Lord_Howe", "2025-04-05T15:00:00Z"),
        ("America/Havana", "2025-03-09T05:00:00Z"),
        ("America/Santiago", "2025-04-06T03:00:00Z"),
        ("Pacific/Apia", "2011-12-30T10:00:00Z"),
        ("Africa/Casablanca", "2025-02-23T02:00:00Z"),
        ("Europe/Dublin", "2025-10-26T01:00:00Z"),
        ("Asia/Kathmandu", "2025-03-30T01:00:00Z"),
        ("UTC", "2024-02-29T00:00:00Z"),
    ];
    let rounds = if cfg!(debug_assertions) { 300 } else { 1_500 };
    let mut total = 0;
    for _ in 0..rounds {
        let (zone, around) = places[random(places.len())];
        let expression = [
            minutes[random(minutes.len())],
            hours[random(hours.len())],
            days[random(days.len())],
            months[random(months.len())],
            weeks[random(weeks.len())],
        ]
        .join(" ");
        if matches!(Cron::parse(&expression), Err(CalendarError::NeverMatches)) {
            continue;
        }
        let (from, until) = (seconds(around) - 30 * 3_600, seconds(around) + 50 * 3_600);
        let rules = TimeZone::get(zone).unwrap();
        let expected = by_brute_force(&expression, &rules, from, until);
        let found = times(zone, &expression, &text(from), &text(until));
        let expected: Vec<_> = expected.into_iter().map(text).collect();
        assert_eq!(found, expected, "{expression} in {zone}");
        total += expected.len();
    }
    assert!(total > 1_000, "{total}");
}

// ---- expressions ---------------------------------------------------------------------------------

#[test]
fn days_of_the_month_and_of_the_week() {
    let days = |expression: &str, from: &str, n: usize| -> Vec<String> {
        let cron = Cron::parse(expression).unwrap();
        let mut at = seconds(&format!("{from}T00:00:00Z")) - 1;
        (0..n)
            .map(|_| {
                at = cron.next_second(at).unwrap();
                text(at)[..10].to_owned()
            })
            .collect()
    };
    assert_eq!(days("0 0 L * *", "2024-01-01", 3), ["2024-01-31", "2024-02-29", "2024-03-31"]);
    assert_eq!(days("0 0 LW * *", "2024-03-01", 3), ["2024-03-29", "2024-04-30", "2024-05-31"]);
    // A Saturday, a Sunday, and a first day that is a Saturday; a last one that is a Sunday.
    assert_eq!(days("0 0 15W * *", "2024-06-01", 3), ["2024-06-14", "2024-07-15", "2024-08-15"]);
    assert_eq!(days("0 0 15W * *", "2024-09-01", 1), ["2024-09-16"]);
    assert_eq!(days("0 0 1W 6 *", "2024-01-01", 1), ["2024-06-03"]);
    assert_eq!(days("0 0 31W 3 *", "2024-01-01", 1), ["2024-03-29"]);
    assert_eq!(days("0 0 * * 5#2", "2024-01-01", 2), ["2024-01-12", "2024-02-09"]);
    assert_eq!(days("0 0 * * FRI#L", "2024-01-01", 2), ["2024-01-26", "2024-02-23"]);
    assert_eq!(days("0 0 * * 5L", "2024-01-01", 2), ["2024-01-26", "2024-02-23"]);
    assert_eq!(days("0 0 * * 1#5", "2024-01-01", 2), ["2024-01-29", "2024-04-29"]);
    assert_eq!(days("0 0 * * 7", "2024-01-01", 1), ["2024-01-07"]);
    assert_eq!(days("0 0 * jan sat-sun", "2024-01-01", 1), ["2024-01-06"]);
    // Either, if both say something; both, if one begins with a star.
    assert_eq!(days("0 0 13 * FRI", "2024-09-01", 3), ["2024-09-06", "2024-09-13", "2024-09-20"]);
    assert_eq!(days("0 0 */13 * FRI", "2024-09-01", 2), ["2024-09-27", "2024-11-01"]);
    // Once in eight years, and in forty.
    assert_eq!(days("0 0 29 2 *", "2096-03-01", 2), ["2104-02-29", "2108-02-29"]);
    assert_eq!(days("0 0 * 2 0#5", "2072-01-01", 2), ["2088-02-29", "2128-02-29"]);
}

#[test]
fn expressions_that_are_wrong_say_where() {
    let field = |expression: &str| match Cron::parse(expression) {
        Err(CalendarError::Field { field, text, problem }) => (field, text, problem),
        other => panic!("{expression}: {other:?}"),
    };
    use FieldProblem::*;
    for (expression, expected) in [
        ("60 * * * *", ("minutes", "60", OutOfRange)),
        ("* 24 * * *", ("hours", "24", OutOfRange)),
        ("* * 0 * *", ("days of the month", "0", OutOfRange)),
        ("* * 32 * *", ("days of the month", "32", OutOfRange)),
        ("* * * 13 *", ("months", "13", OutOfRange)),
        ("* * * FOO *", ("months", "FOO", NotUnderstood)),
        ("* * * * 8", ("days of the week", "8", OutOfRange)),
        ("* * * * MON#6", ("days of the week", "MON#6", OutOfRange)),
        ("60 * * * * *", ("seconds", "60", OutOfRange)),
        ("5-1 * * * *", ("minutes", "5-1", Reversed)),
        ("* * * * sat-fri", ("days of the week", "sat-fri", Reversed)),
        ("*/0 * * * *", ("minutes", "*/0", ZeroStep)),
        ("5/10 * * * *", ("minutes", "5/10", StepWithoutRange)),
        ("*/x * * * *", ("minutes", "*/x", NotUnderstood)),
        ("1,,2 * * * *", ("minutes", "", NotUnderstood)),
        ("-1 * * * *", ("minutes", "", NotUnderstood)),
        ("+1 * * * *", ("minutes", "+1", NotUnderstood)),
        ("99999999999 * * * *", ("minutes", "99999999999", OutOfRange)),
        ("* * W * *", ("days of the month", "", NotUnderstood)),
    ] {
        let (name, text, problem) = field(expression);
        assert_eq!((name, text.as_str(), problem), expected, "{expression}");
    }
    let error = |expression| Cron::parse(expression).unwrap_err();
    assert_eq!(error(""), CalendarError::FieldCount { found: 0 });
    assert_eq!(error("* * * *"), CalendarError::FieldCount { found: 4 });
    assert_eq!(error("* * * * * * *"), CalendarError::FieldCount { found: 7 });
    assert_eq!(error("@reboot"), CalendarError::UnknownName { name: "@reboot".into() });
    for never in ["0 0 30 2 *", "0 0 31 4,6,9,11 *", "0 0 31W 2 *"] {
        assert_eq!(error(never), CalendarError::NeverMatches, "{never}");
    }
    let zone = Cron::in_zone("@daily", "Moon/Tranquility").unwrap_err();
    assert_eq!(zone, CalendarError::UnknownZone { name: "Moon/Tranquility".into() });
    assert_eq!(zone.to_string(), "the time zone \"Moon/Tranquility\" is not known");
}

#[test]
fn any_text_is_an_expression_or_an_error() {
    let mut state = 9_u64;
    let mut random = |below: usize| {
        state =
            state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (state >> 33) as usize % below
    };
    let signs: Vec<char> = "0123456789*/-,#LW? @JANfri".chars().collect();
    let mut good = 0;
    for n in 0..20_000 {
        let mut word = |most| -> String {
            (0..1 + random(most)).map(|_| signs[random(signs.len())]).collect()
        };
        let text = match n % 3 {
            0 => word(17),
            1 => format!("{} * {} * *", word(3), word(3)),
            _ => format!("1 2 3 4 {}", word(4)),
        };
        if let Ok(cron) = Cron::parse(&text) {
            good += 1;
            let at = seconds("2025-06-01T00:00:00Z");
            assert!(cron.next_second(at).unwrap() > at, "{text}");
        }
    }
    assert!(good > 10, "{good}");
}

#[test]
fn the_ends_of_the_calendar() {
    let cron = Cron::parse("* * * * * *").unwrap();
    let last = seconds("9999-12-30T00:00:00Z");
    assert!(cron.next_second(last).is_some());
    assert_eq!(cron.next_second(i64::MAX), None);
    assert_eq!(cron.next_second(i64::MAX - CYCLE), None);
    assert_eq!(cron.next_second(i64::MIN + 10), None);
    let rare = Cron::in_zone("0 0 29 2 *", "Europe/Berlin").unwrap();
    // The year 10,000, by the rules that hold until then.
    assert!(rare.next_second(last).is_some_and(|next| next > last));
    assert!(rare.next_second(seconds("1800-01-01T00:00:00Z")).is_some());
}

// ---- intervals -----------------------------------------------------------------------------------

fn dates(calendar: &Calendar, from: &str, n: usize) -> Vec<String> {
    let start = wall_of(seconds(from)).unwrap();
    let moment = Moment { at: Instant::now(), wall: start };
    let cx = TriggerCx { start: moment, last_end: None, failures: 0, runs: 0 };
    let mut at = moment;
    (0..n)
        .map(|_| {
            let Some(When::Wall(next)) = calendar.next(at, &cx) else { panic!("there is a next") };
            assert!(next > at.wall);
            at.wall = next;
            text(seconds_of(next).unwrap())
        })
        .collect()
}

#[test]
fn a_day_is_not_24_hours() {
    let daily = Calendar::days(1).at(2, 30, 0).zone("America/New_York").build().unwrap();
    assert_eq!(
        dates(&daily, "2025-03-08T00:00:00Z", 4),
        [
            "2025-03-08T07:30:00Z",
            "2025-03-09T07:00:00Z",
            "2025-03-10T06:30:00Z",
            "2025-03-11T06:30:00Z"
        ]
    );
    let daily = Calendar::days(1).at(1, 30, 0).zone("America/New_York").build().unwrap();
    assert_eq!(
        dates(&daily, "2025-11-01T12:00:00Z", 2),
        ["2025-11-02T05:30:00Z", "2025-11-03T06:30:00Z"]
    );
    let daily = Calendar::days(1).zone("America/Havana").build().unwrap();
    assert_eq!(
        dates(&daily, "2025-03-08T12:00:00Z", 2),
        ["2025-03-09T05:00:00Z", "2025-03-10T04:00:00Z"]
    );
}

#[test]
fn weeks_months_and_years_are_counted_from_the_first_day() {
    let monthly = Calendar::months(1).from(2025, 1, 31).at(9, 0, 0).build().unwrap();
    assert_eq!(
        dates(&monthly, "2025-01-31T10:00:00Z", 3),
        ["2025-02-28T09:00:00Z", "2025-03-31T09:00:00Z", "2025-04-30T09:00:00Z"]
    );
    let leap = Calendar::years(1).from(2024, 2, 29).build().unwrap();
    assert_eq!(
        dates(&leap, "2026-06-01T00:00:00Z", 2),
        ["2027-02-28T00:00:00Z", "2028-02-29T00:00:00Z"]
    );
    let fortnight = Calendar::weeks(2).from(2025, 1, 6).at(8, 0, 0).build().unwrap();
    let found = dates(&fortnight, "2025-01-10T00:00:00Z", 20);
    for day in &found {
        let date: jiff::civil::Date = day[..10].parse().unwrap();
        assert_eq!(date.weekday(), Weekday::Monday);
    }
    assert_eq!(found[0], "2025-01-20T08:00:00Z");
    // From the day of the start, and from one that is far ahead.
    let third = Calendar::days(3).at(1, 0, 0).build().unwrap();
    assert_eq!(
        dates(&third, "2025-01-10T05:00:00Z", 2),
        ["2025-01-13T01:00:00Z", "2025-01-16T01:00:00Z"]
    );
    let later = Calendar::days(3).from(2030, 1, 1).build().unwrap();
    assert_eq!(dates(&later, "2025-01-10T05:00:00Z", 1), ["2030-01-01T00:00:00Z"]);
    for wrong in [Calendar::days(1).from(2025, 2, 29), Calendar::days(1).at(0, 60, 0)] {
        assert_eq!(wrong.build().unwrap_err(), CalendarError::NoSuchTime);
    }
    assert_eq!(Calendar::weeks(0).build().unwrap_err(), CalendarError::ZeroInterval);
}

#[test]
fn a_zone_knows_its_stretches() {
    let zone = Zone::named("America/New_York").unwrap();
    let change = seconds("2025-03-09T07:00:00Z");
    let (before, after) = (zone.stretch(change - 1).unwrap(), zone.stretch(change).unwrap());
    assert_eq!((before.offset, before.until), (-5 * 3_600, Some(change)));
    assert_eq!((after.offset, after.from), (-4 * 3_600, Some((change, -5 * 3_600))));
    let utc = Zone::named("UTC").unwrap().stretch(change).unwrap();
    assert_eq!((utc.offset, utc.from, utc.until), (0, None, None));
    assert!(Zone::named("local").is_ok());
}
