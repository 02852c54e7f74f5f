//! A web service whose handlers compute: on the pool, never on the threads of the runtime.
//!
//! What is shown, and meant to be copied: a priority for each kind of request; a bound on what is
//! accepted, beyond which the answer is 503 with a time to come again; a deadline for each request;
//! a client that goes away gives the cores back, because its handler's future is dropped, and with
//! it the job's, down to the innermost loop; a shutdown that answers what it has accepted; metrics.
//!
//! ```text
//! cargo run --release --example axum_service                            # drives itself, and ends
//! cargo run --release --example axum_service -- --serve 127.0.0.1:8080  # until Ctrl-C
//! curl -i 'http://127.0.0.1:8080/primes?upto=1000000'
//! curl -i 'http://127.0.0.1:8080/search?bits=20' -H 'x-deadline-ms: 500'
//! ```

use axum::extract::{Query, Request, State};
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::middleware::{self, Next};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use axum::{Json, Router};
use serde_json::{Value, json};
use std::collections::HashMap;
use std::io::{self, Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;
use std::time::{Duration, Instant};
use tokio::net::TcpListener;
use tokio::sync::oneshot;
use tokio::task::JoinHandle;
use tower::ServiceBuilder;
use windlass::prelude::*;
use windlass::{Bound, JobError, Pool, Priority, Shutdown, ShutdownReport, SubmitError};

/// What may be chosen.
#[derive(Clone, Debug)]
pub(crate) struct Config {
    pub(crate) workers: usize,
    /// How many requests that compute are accepted at a time, queued or running.
    pub(crate) max_in_flight: usize,
    /// How long a request may take if it does not say.
    pub(crate) deadline: Duration,
    /// How long a shutdown waits for what it has accepted.
    pub(crate) grace: Duration,
}

impl Default for Config {
    fn default() -> Self {
        let workers = std::thread::available_parallelism().map_or(2, usize::from);
        let (deadline, grace) = (Duration::from_secs(10), Duration::from_secs(10));
        Config { workers, max_in_flight: 4 * workers, deadline, grace }
    }
}

/// What the handlers share.
#[derive(Clone)]
pub(crate) struct App(Arc<Inner>);

struct Inner {
    pool: Pool,
    config: Config,
    hashes: AtomicU64,
}

impl App {
    pub(crate) fn new(config: Config) -> App {
        let queue = Bound::in_flight(config.max_in_flight);
        let pool = Pool::builder().workers(config.workers).queue(queue).name("compute").build();
        let pool = pool.expect("a pool");
        App(Arc::new(Inner { pool, config, hashes: AtomicU64::new(0) }))
    }

    pub(crate) fn pool(&self) -> &Pool {
        &self.0.pool
    }

    /// How many hashes `/search` has computed: what shows whether it still does.
    pub(crate) fn hashes(&self) -> u64 {
        self.0.hashes.load(Ordering::Relaxed)
    }

    /// How many requests have been refused.
    pub(crate) fn shed(&self) -> u64 {
        self.pool().queue_stats().refused
    }

    /// Runs `f` on the pool for a request, or refuses it at once: one that waited for room would hold
    /// its connection, and be of no use to anybody when its turn comes. When the client goes away
    /// this future is dropped, and that cancels the job. Until it has wound down it keeps its room.
    async fn compute<T, F>(
        &self,
        name: &'static str,
        priority: Priority,
        deadline: Instant,
        f: F,
    ) -> Result<T, Failure>
    where
        T: Send + 'static,
        F: FnOnce() -> T + Send + 'static,
    {
        let job = self.pool().job(name).priority(priority).deadline(deadline);
        Ok(job.try_run(f).map_err(Failure::from_refusal)?.await?)
    }
}

/// Why there is no answer.
#[derive(Debug)]
enum Failure {
    Overloaded,
    BadRequest(&'static str),
    Job(JobError),
}

impl Failure {
    fn from_refusal<F>(refusal: SubmitError<F>) -> Failure {
        match refusal {
            SubmitError::ShuttingDown(_) => Failure::Job(JobError::Rejected),
            _ => Failure::Overloaded,
        }
    }
}

impl From<JobError> for Failure {
    fn from(error: JobError) -> Self {
        Failure::Job(error)
    }
}

impl IntoResponse for Failure {
    fn into_response(self) -> Response {
        let (status, text) = match self {
            Failure::Overloaded => (StatusCode::SERVICE_UNAVAILABLE, "overloaded".to_owned()),
            Failure::BadRequest(text) => (StatusCode::BAD_REQUEST, text.to_owned()),
            Failure::Job(error) => {
                let status = match &error {
                    JobError::TimedOut { .. } => StatusCode::GATEWAY_TIMEOUT,
                    JobError::Rejected | JobError::Abandoned | JobError::Cancelled { .. } => {
                        StatusCode::SERVICE_UNAVAILABLE
                    }
                    _ => StatusCode::INTERNAL_SERVER_ERROR,
                };
                (status, error.to_string())
            }
        };
        let mut response = (status, text + "\n").into_response();
        if status == StatusCode::SERVICE_UNAVAILABLE {
            response.headers_mut().insert(header::RETRY_AFTER, HeaderValue::from_static("1"));
        }
        response
    }
}

/// When the answer is of no more use.
#[derive(Clone, Copy)]
struct Deadline(Instant);

/// Reads the deadline of each request, so that every handler has one.
async fn with_deadline(State(app): State<App>, mut request: Request, next: Next) -> Response {
    let asked = |headers: &HeaderMap| headers.get("x-deadline-ms")?.to_str().ok()?.parse().ok();
    let limit = asked(request.headers()).map_or(app.0.config.deadline, Duration::from_millis);
    let now = Instant::now();
    let at = now.checked_add(limit).unwrap_or(now + app.0.config.deadline);
    request.extensions_mut().insert(Deadline(at));
    next.run(request).await
}

/// The service.
pub(crate) fn router(app: App) -> Router {
    let layers =
        ServiceBuilder::new().layer(middleware::from_fn_with_state(app.clone(), with_deadline));
    Router::new()
        .route("/ping", get(|| async { "pong\n" }))
        .route("/primes", get(primes))
        .route("/search", get(search))
        .route("/metrics", get(metrics))
        .layer(layers)
        .with_state(app)
}

fn number(query: &HashMap<String, String>, name: &str) -> Option<u64> {
    query.get(name)?.parse().ok()
}

/// Counts primes: short, somebody waits for it, so it goes first.
async fn primes(
    State(app): State<App>,
    Query(query): Query<HashMap<String, String>>,
    request: Request,
) -> Result<Json<Value>, Failure> {
    let upto = number(&query, "upto").ok_or(Failure::BadRequest("how far? ?upto=NUMBER"))?;
    let Deadline(at) = *request.extensions().get().expect("from the layer");
    let count = move || (2..=upto).into_par_iter().filter(|&n| is_prime(n)).count();
    let count = app.compute("primes", Priority::High, at, count).await?;
    Ok(Json(json!({ "upto": upto, "primes": count })))
}

fn is_prime(n: u64) -> bool {
    (2..).take_while(|d| d * d <= n).all(|d| !n.is_multiple_of(d))
}

/// Looks for a number whose hash begins with so many zero bits: may take for ever.
async fn search(
    State(app): State<App>,
    Query(query): Query<HashMap<String, String>>,
    request: Request,
) -> Result<Json<Value>, Failure> {
    let bits = number(&query, "bits").ok_or(Failure::BadRequest("how many? ?bits=NUMBER"))?;
    let Deadline(at) = *request.extensions().get().expect("from the layer");
    let inner = app.clone();
    // Nothing in here knows of the client. The loop ends early when the job is cancelled.
    let search = move || {
        (0..u64::MAX).into_par_iter().find_any(|number| {
            inner.0.hashes.fetch_add(1, Ordering::Relaxed);
            let hash = blake3::hash(&number.to_le_bytes());
            let first = u64::from_be_bytes(hash.as_bytes()[..8].try_into().expect("8 bytes"));
            u64::from(first.leading_zeros()) >= bits
        })
    };
    let found = app.compute("search", Priority::Normal, at, search).await?;
    Ok(Json(json!({ "bits": bits, "number": found })))
}

/// What has become of the jobs, for Prometheus.
async fn metrics(State(app): State<App>) -> impl IntoResponse {
    let counts = app.pool().job_counts();
    let mut text = String::new();
    let mut write = |name: &str, kind: &str, lines: &[(&str, u64)]| {
        text += &format!("# TYPE {name} {kind}\n");
        for (labels, value) in lines {
            text += &format!("{name}{labels} {value}\n");
        }
    };
    write("windlass_jobs_accepted_total", "counter", &[("", counts.accepted)]);
    let outcomes = [
        ("{outcome=\"completed\"}", counts.completed),
        ("{outcome=\"panicked\"}", counts.panicked),
        ("{outcome=\"cancelled\"}", counts.cancelled),
        ("{outcome=\"timed_out\"}", counts.timed_out),
        ("{outcome=\"abandoned\"}", counts.abandoned),
    ];
    write("windlass_jobs_finished_total", "counter", &outcomes);
    write("windlass_jobs_pending", "gauge", &[("", counts.pending())]);
    write("windlass_jobs_overrunning", "gauge", &[("", counts.overrunning)]);
    write("service_shed_total", "counter", &[("", app.shed())]);
    write("service_hashes_total", "counter", &[("", app.hashes())]);
    ([(header::CONTENT_TYPE, "text/plain; version=0.0.4")], text)
}

/// A service that runs.
pub(crate) struct Running {
    pub(crate) app: App,
    pub(crate) address: SocketAddr,
    stop: oneshot::Sender<()>,
    server: JoinHandle<io::Result<()>>,
}

impl Running {
    pub(crate) async fn start(address: SocketAddr, config: Config) -> io::Result<Running> {
        let app = App::new(config);
        let listener = TcpListener::bind(address).await?;
        let address = listener.local_addr()?;
        let (stop, is_stopped) = oneshot::channel();
        let serve = axum::serve(listener, router(app.clone())).with_graceful_shutdown(async {
            let _ = is_stopped.await;
        });
        let server = tokio::spawn(async { serve.await });
        Ok(Running { app, address, stop, server })
    }

    /// Accepts no more connections, answers what was accepted, and ends the pool.
    pub(crate) async fn shut_down(self) -> io::Result<ShutdownReport> {
        let grace = self.app.0.config.grace;
        let _ = self.stop.send(());
        let served = tokio::time::timeout(grace, self.server).await;
        // It blocks, so not on this thread.
        let how = if served.is_ok() { Shutdown::Drain } else { Shutdown::CancelAll };
        let app = self.app;
        let report = tokio::task::spawn_blocking(move || app.pool().shutdown(how, grace));
        let report = report.await.map_err(io::Error::other)?;
        if let Ok(served) = served {
            served.map_err(io::Error::other)??;
        }
        Ok(report)
    }
}

// ---- a client, as small as can be

/// Sends a request, and keeps the connection open.
fn send(address: SocketAddr, path: &str, headers: &str) -> io::Result<TcpStream> {
    let mut stream = TcpStream::connect(address)?;
    write!(stream, "GET {path} HTTP/1.1\r\nhost: {address}\r\nconnection: close\r\n{headers}\r\n")?;
    Ok(stream)
}

/// The status, and the whole answer.
fn fetch(address: SocketAddr, path: &str, headers: &str) -> io::Result<(u16, String)> {
    let mut text = String::new();
    send(address, path, headers)?.read_to_string(&mut text)?;
    let status = text.split(' ').nth(1).and_then(|status| status.parse().ok());
    Ok((status.ok_or_else(|| io::Error::other("no status line"))?, text))
}

fn body(answer: &(u16, String)) -> &str {
    answer.1.split_once("\r\n\r\n").map_or("", |(_, body)| body.trim_end())
}

/// Shows all of it, and checks what it shows.
fn drive(app: &App, at: SocketAddr) -> io::Result<()> {
    println!("GET /ping: {}", body(&fetch(at, "/ping", "")?));

    let primes = fetch(at, "/primes?upto=200000", "")?;
    println!("GET /primes?upto=200000: {} {}", primes.0, body(&primes));
    assert_eq!((primes.0, body(&primes).contains("17984")), (200, true));

    let late = fetch(at, "/search?bits=64", "x-deadline-ms: 50\r\n")?;
    println!("GET /search?bits=64 within 50 ms: {} {}", late.0, body(&late));
    assert_eq!(late.0, 504);
    // Its client has been told; the loop ends at its next batch, and keeps its room until then.
    while app.pool().job_counts().overrunning > 0 {
        thread::yield_now();
    }

    // More clients than are accepted, none of which would ever get an answer.
    let many = app.0.config.max_in_flight + 3;
    let mut clients = Vec::new();
    for _ in 0..many {
        clients.push(send(at, "/search?bits=64", "x-deadline-ms: 3600000\r\n")?);
    }
    while app.shed() < 3 {
        thread::yield_now();
    }
    let refused = fetch(at, "/primes?upto=10", "")?;
    println!("{many} endless searches; GET /primes: {} {}", refused.0, body(&refused));
    assert!(refused.0 == 503 && refused.1.contains("retry-after: 1"));
    println!("GET /ping meanwhile: {}", body(&fetch(at, "/ping", "")?));

    // They go away, and nothing is computed for them any more.
    drop(clients);
    while app.pool().job_counts().pending() > 0 {
        thread::yield_now();
    }
    let counts = app.pool().job_counts();
    println!("the clients have gone: {} jobs cancelled, none left", counts.cancelled);
    assert_eq!(counts.cancelled, app.0.config.max_in_flight as u64);

    println!("GET /metrics:\n{}", body(&fetch(at, "/metrics", "")?));
    Ok(())
}

#[tokio::main(worker_threads = 1)]
async fn main() -> io::Result<()> {
    let mut arguments = std::env::args().skip(1);
    let address = match (arguments.next().as_deref(), arguments.next()) {
        (None, _) => None,
        (Some("--serve"), Some(address)) => Some(address.parse().map_err(io::Error::other)?),
        _ => return Err(io::Error::other("usage: axum_service [--serve ADDRESS]")),
    };
    let own = SocketAddr::from(([127, 0, 0, 1], 0));
    let service = Running::start(address.unwrap_or(own), Config::default()).await?;
    println!("listening on {}", service.address);
    if address.is_some() {
        tokio::signal::ctrl_c().await?;
    } else {
        let (app, at) = (service.app.clone(), service.address);
        tokio::task::spawn_blocking(move || drive(&app, at)).await??;
    }
    let report = service.shut_down().await?;
    println!("shut down: {} jobs left, threads ended: {}", report.left, report.threads_ended);
    Ok(())
}
