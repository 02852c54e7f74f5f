//! A small service that computes on one engine or the other, clients that keep it busy, and one
//! that asks for what needs no computing.

use crate::harness::demand;
use axum::Router;
use axum::routing::get;
use std::hint::black_box;
use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};
use tokio::net::TcpListener;
use tokio::runtime::{Builder, Runtime};

/// `spawn_blocking`, with as many threads as tokio gives it by default.
#[derive(Clone)]
pub(super) struct Blocking;

/// Where the service computes.
#[derive(Clone)]
pub(super) enum Compute {
    Windlass(windlass::Pool),
    Blocking(Blocking),
}

/// Some 500 us.
const ROUNDS: u64 = 400_000;

fn work() -> u64 {
    (0..ROUNDS).fold(1, |x: u64, n| black_box(x.wrapping_mul(31).wrapping_add(n)))
}

impl Compute {
    async fn answer(self) -> String {
        let value = match self {
            Compute::Windlass(pool) => pool.run(work).await.expect("no job panics"),
            Compute::Blocking(Blocking) => {
                tokio::task::spawn_blocking(work).await.expect("no job panics")
            }
        };
        value.to_string()
    }
}

/// A service and the clients that keep it busy, until it is dropped.
pub(super) struct Load {
    is_over: Arc<AtomicBool>,
    clients: Vec<JoinHandle<()>>,
    connection: std::cell::RefCell<TcpStream>,
    runtime: Option<Runtime>,
}

impl Load {
    /// `workers` threads for the runtime, as a service has by default.
    pub(super) fn start(workers: usize, compute: Compute, clients: usize) -> Load {
        let mut builder = Builder::new_multi_thread();
        let runtime = builder.worker_threads(workers).enable_all().build().expect("a runtime");
        let router = Router::new()
            .route("/ping", get(|| async { "pong" }))
            .route("/work", get(move || compute.clone().answer()));
        let at = SocketAddr::from(([127, 0, 0, 1], 0));
        let listener = runtime.block_on(TcpListener::bind(at)).expect("a port");
        let address = listener.local_addr().expect("bound");
        runtime.spawn(async { axum::serve(listener, router).await });

        let (is_over, answered) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicU64::new(0)));
        let expected = work().to_string();
        let client = |_| {
            let (is_over, answered) = (Arc::clone(&is_over), Arc::clone(&answered));
            let expected = expected.clone();
            thread::spawn(move || {
                let mut connection = connect(address);
                while !is_over.load(Ordering::Relaxed) {
                    demand(ask(&mut connection, "/work") == expected, "/work");
                    answered.fetch_add(1, Ordering::Relaxed);
                }
            })
        };
        let num_clients = clients as u64;
        let clients = (0..clients).map(client).collect();
        // Each has had an answer, so all are at it.
        while answered.load(Ordering::Relaxed) < 2 * num_clients {
            thread::sleep(Duration::from_millis(1));
        }
        let connection = connect(address).into();
        Load { is_over, clients, connection, runtime: Some(runtime) }
    }

    /// How long an answer takes that needs no computing.
    pub(super) fn ping(&self) -> Duration {
        let mut connection = self.connection.borrow_mut();
        // Somewhere in the middle of what the others do.
        thread::sleep(Duration::from_millis(1));
        let start = Instant::now();
        let answer = ask(&mut connection, "/ping");
        let time = start.elapsed();
        demand(answer == "pong", "/ping");
        time
    }
}

impl Drop for Load {
    fn drop(&mut self) {
        self.is_over.store(true, Ordering::Relaxed);
        for client in self.clients.drain(..) {
            client.join().expect("a client");
        }
        if let Some(runtime) = self.runtime.take() {
            runtime.shutdown_timeout(Duration::from_secs(10));
        }
    }
}

fn connect(address: SocketAddr) -> TcpStream {
    let stream = TcpStream::connect(address).expect("the service listens");
    stream.set_nodelay(true).expect("a socket");
    stream
}

/// One request on a connection that stays open; the body of the answer.
fn ask(stream: &mut TcpStream, path: &str) -> String {
    let request = format!("GET {path} HTTP/1.1\r\nhost: perf\r\n\r\n");
    stream.write_all(request.as_bytes()).expect("the service reads");
    let mut text = Vec::new();
    let mut buffer = [0; 1024];
    loop {
        let count = stream.read(&mut buffer).expect("the service answers");
        demand(count > 0, path);
        text.extend_from_slice(&buffer[..count]);
        let answer = String::from_utf8_lossy(&text);
        if let Some((head, body)) = answer.split_once("\r\n\r\n") {
            let length = head.lines().find_map(|line| line.strip_prefix("content-length: "));
            let length = length.and_then(|length| length.parse::<usize>().ok());
            if Some(body.len()) == length {
                return body.to_owned();
            }
        }
    }
}
