//! The example's service under a real HTTP client: a disconnect frees the cores, overload sheds, and the runtime's one
//! thread answers while every worker computes.
#![cfg(not(any(loom, shuttle)))]

mod common;
#[allow(dead_code, reason = "its client and its main function are for the example alone")]
#[path = "../examples/axum_service.rs"]
mod service;

use axum::body::{Body, Bytes};
use axum::http::{Request, StatusCode};
use common::*;
use http_body_util::{BodyExt, Full};
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::TokioExecutor;
use service::{App, Config, Running, router};
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;
use tokio::task::{JoinHandle, yield_now};
use tower::ServiceExt as _;

/// Longer than any test takes.
const FOR_EVER: &str = "3600000";

struct Test {
    service: Running,
    client: Client<HttpConnector, Full<Bytes>>,
}

/// Runs `test` on a runtime of one thread, the client's and the server's.
fn with_service(workers: usize, max_in_flight: usize, test: impl AsyncFnOnce(&Test)) {
    deadline(|| {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async {
            let grace = Duration::from_secs(20);
            let config = Config { workers, max_in_flight, deadline: grace, grace };
            let any = SocketAddr::from(([127, 0, 0, 1], 0));
            let service = Running::start(any, config).await.unwrap();
            // Each request on a connection of its own, closed when its future is dropped.
            let client =
                Client::builder(TokioExecutor::new()).pool_max_idle_per_host(0).build_http();
            let test_data = Test { service, client };
            test(&test_data).await;
            let Test { service, client } = test_data;
            drop(client);
            let pool = service.app.pool().clone();
            let report = service.shut_down().await.unwrap();
            assert!(report.is_complete(), "{report:?}");
            assert_eq!(pool.job_counts().pending(), 0);
        });
    });
}

impl Test {
    fn app(&self) -> &App {
        &self.service.app
    }

    fn get(&self, path: &str) -> JoinHandle<(StatusCode, Option<String>, String)> {
        self.get_within(path, FOR_EVER)
    }

    fn get_within(&self, path: &str, ms: &str) -> JoinHandle<(StatusCode, Option<String>, String)> {
        let uri = format!("http://{}{path}", self.service.address);
        let request = Request::get(uri).header("x-deadline-ms", ms).body(Full::default()).unwrap();
        let response = self.client.request(request);
        tokio::spawn(async move {
            let response = response.await.unwrap();
            let status = response.status();
            let retry =
                response.headers().get("retry-after").map(|v| v.to_str().unwrap().to_owned());
            let body = response.into_body().collect().await.unwrap().to_bytes();
            (status, retry, String::from_utf8(body.to_vec()).unwrap())
        })
    }

    /// Lets the others on this thread go on until it is so.
    async fn until(&self, is_so: impl Fn(&App) -> bool) {
        while !is_so(self.app()) {
            yield_now().await;
        }
    }
}

#[test]
fn it_computes_and_refuses_what_it_does_not_understand() {
    with_service(2, 4, async |test| {
        let (status, _, body) = test.get("/primes?upto=1000").await.unwrap();
        assert_eq!((status, body.as_str()), (StatusCode::OK, r#"{"primes":168,"upto":1000}"#));
        let (status, _, body) = test.get("/search?bits=4").await.unwrap();
        assert_eq!(status, StatusCode::OK);
        assert!(body.contains("\"bits\":4"), "{body}");
        let (status, _, _) = test.get("/primes?upto=many").await.unwrap();
        assert_eq!(status, StatusCode::BAD_REQUEST);
    });
}

/// The work is seen to stop, by what it counts.
#[test]
fn a_client_that_goes_away_frees_the_cores() {
    for workers in [1, 2] {
        with_service(workers, 8, async |test| {
            // As many as run, and as many that are queued.
            let clients: Vec<_> = (0..2 * workers).map(|_| test.get("/search?bits=64")).collect();
            test.until(|app| app.pool().job_counts().accepted == 2 * workers as u64).await;
            let before = test.app().hashes();
            test.until(|app| app.hashes() > before).await;
            clients.into_iter().for_each(|client| client.abort());
            test.until(|app| app.pool().job_counts().pending() == 0).await;
            assert_eq!(test.app().pool().job_counts().cancelled, 2 * workers as u64);
            // Nothing is left that could count on.
            assert!(test.app().pool().wait_idle(LONG));
            let after = test.app().hashes();
            assert_eq!(test.get("/primes?upto=100").await.unwrap().0, StatusCode::OK);
            assert_eq!(test.app().hashes(), after);
        });
    }
}

#[test]
fn overload_sheds_instead_of_queueing() {
    with_service(1, 3, async |test| {
        let clients: Vec<_> = (0..3).map(|_| test.get("/search?bits=64")).collect();
        test.until(|app| app.pool().job_counts().accepted == 3).await;
        for _ in 0..5 {
            let (status, retry, _) = test.get("/primes?upto=10").await.unwrap();
            assert_eq!((status, retry.as_deref()), (StatusCode::SERVICE_UNAVAILABLE, Some("1")));
        }
        // Those were refused, not queued.
        assert_eq!((test.app().shed(), test.app().pool().job_counts().accepted), (5, 3));
        // One that goes makes room for one.
        clients[0].abort();
        test.until(|app| app.pool().job_counts().pending() == 2).await;
        let primes = test.get("/primes?upto=10");
        test.until(|app| app.pool().job_counts().accepted == 4).await;
        clients[1..].iter().for_each(JoinHandle::abort);
        assert_eq!(primes.await.unwrap().0, StatusCode::OK);
    });
}

#[test]
fn the_runtime_answers_while_every_worker_computes() {
    with_service(1, 2, async |test| {
        let clients: Vec<_> = (0..2).map(|_| test.get("/search?bits=64")).collect();
        test.until(|app| app.hashes() > 0).await;
        for _ in 0..20 {
            assert_eq!(test.get("/ping").await.unwrap().2, "pong\n");
        }
        // Nothing has ended meanwhile: the answers did not wait for it.
        let counts = test.app().pool().job_counts();
        assert_eq!((counts.accepted, counts.finished()), (2, 0));
        clients.iter().for_each(JoinHandle::abort);
        test.until(|app| app.pool().job_counts().pending() == 0).await;
    });
}

#[test]
fn a_request_has_a_deadline_and_what_overruns_it_stops() {
    with_service(1, 2, async |test| {
        let (status, _, body) = test.get_within("/search?bits=64", "5").await.unwrap();
        assert_eq!(status, StatusCode::GATEWAY_TIMEOUT, "{body}");
        test.until(|app| app.pool().job_counts().overrunning == 0).await;
        assert_eq!(test.app().pool().job_counts().timed_out, 1);
        assert_eq!(test.get("/primes?upto=10").await.unwrap().0, StatusCode::OK);
    });
}

#[test]
fn metrics_tell_what_has_become_of_the_jobs() {
    with_service(1, 2, async |test| {
        test.get("/primes?upto=10").await.unwrap();
        let (_, _, text) = test.get("/metrics").await.unwrap();
        for line in [
            "# TYPE windlass_jobs_finished_total counter",
            "windlass_jobs_accepted_total 1",
            "windlass_jobs_finished_total{outcome=\"completed\"} 1",
            "windlass_jobs_pending 0",
        ] {
            assert!(text.lines().any(|found| found == line), "{line} is not in\n{text}");
        }
    });
}

/// What was accepted is answered; the connection of a client that came later is refused.
#[test]
fn a_shutdown_answers_what_was_accepted() {
    deadline(|| {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async {
            let any = SocketAddr::from(([127, 0, 0, 1], 0));
            let config = Config { workers: 1, ..Config::default() };
            let service = Running::start(any, config).await.unwrap();
            let client = Client::builder(TokioExecutor::new()).build_http();
            let test = Test { service, client };
            let answer = test.get("/search?bits=12");
            test.until(|app| app.pool().job_counts().accepted == 1).await;
            let is_over = Arc::new(AtomicBool::new(false));
            let told = Arc::clone(&is_over);
            let shutdown = tokio::spawn(async move {
                let report = test.service.shut_down().await.unwrap();
                told.store(true, Ordering::SeqCst);
                report
            });
            assert_eq!(answer.await.unwrap().0, StatusCode::OK);
            assert!(shutdown.await.unwrap().is_complete() && is_over.load(Ordering::SeqCst));
        });
    });
}

/// Without a socket, as tower calls it.
#[test]
fn the_router_is_a_service_of_tower() {
    deadline(|| {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async {
            let request = Request::get("/primes?upto=30").body(Body::empty()).unwrap();
            let response = router(App::new(Config::default())).oneshot(request).await.unwrap();
            assert_eq!(response.status(), StatusCode::OK);
        });
    });
}
