//! Load over HTTP/1 and HTTP/2 in which each request has an id of its own, and the checker: each id ends as the
//! complete right answer, or it is lost.

use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use bytes::Bytes;
use http_body_util::{BodyExt, Full};
use hyper_util::rt::{TokioExecutor, TokioIo};

use super::ledger::{Ledger, expected, sent};

/// After so many losses a client gives up: what is wrong is known.
const LOSSES: usize = 20;

/// One connection after the other.
#[derive(Clone, Copy)]
pub(super) struct Client {
    h2: bool,
    /// Requests at once on each connection.
    streams: usize,
    /// Requests of a stream before the connection is replaced by a new one.
    renew_after: u64,
}

const fn h1(renew_after: u64) -> Client {
    Client {
        h2: false,
        streams: 1,
        renew_after,
    }
}

const fn h2(streams: usize, renew_after: u64) -> Client {
    Client {
        h2: true,
        streams,
        renew_after,
    }
}

/// More at once than two workers answer: some keep their connection, some take a new one all the time.
pub(super) const SATURATING: &[Client] = &[
    h1(u64::MAX),
    h1(u64::MAX),
    h1(u64::MAX),
    h1(25),
    h1(25),
    h2(8, u64::MAX),
    h2(4, 25),
];

/// A few that leave the machine to something else.
pub(super) const LIGHT: &[Client] = &[h1(u64::MAX), h1(25), h2(2, u64::MAX)];

/// HTTP/1 only: what goes with a connection is one request.
pub(super) const SERIAL: &[Client] = &[h1(u64::MAX), h1(u64::MAX)];

/// What the load and the test know of each other.
#[derive(Default)]
pub(super) struct Load {
    /// Swaps that have begun.
    pub(super) begun: AtomicU64,
    /// Swaps that were acknowledged.
    pub(super) done: AtomicU64,
    stop: AtomicBool,
    /// The gateway is about to drain: who has no connection takes none, and HTTP/2 may be told to go.
    leaving: AtomicBool,
    /// Connections that have not been answered yet.
    fresh: AtomicUsize,
    ids: AtomicU64,
    counts: Mutex<Counts>,
}

/// What the load came to.
#[derive(Default, Debug)]
pub(super) struct Counts {
    /// Why, one for each request that was lost.
    pub(super) losses: Vec<String>,
    /// Whole right answers, by the swaps that were acknowledged when they were asked for.
    pub(super) answered: Vec<u64>,
    /// Connections that were opened.
    pub(super) connections: u64,
    /// HTTP/1 connections that ended by `connection: close`.
    pub(super) closed: u64,
    /// Ids that a connection that was told to go did not take any more.
    pub(super) not_taken: Vec<u64>,
    /// The longest that the clients themselves had no processor.
    pub(super) stalled: Duration,
}

/// The version in force after so many swaps.
fn version(swaps: u64) -> &'static str {
    if swaps.is_multiple_of(2) {
        "1.0.0"
    } else {
        "2.0.0"
    }
}

/// Runs the load beside `during`, then looks every id up in the books.
pub(super) fn under_load<T>(
    ledger: &Ledger,
    address: SocketAddr,
    clients: &[Client],
    during: impl FnOnce(&Load) -> T,
) -> (T, Counts) {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(1)
        .enable_all()
        .build()
        .unwrap();
    let load = Arc::new(Load::default());
    let tasks: Vec<_> = clients
        .iter()
        .map(|client| runtime.spawn(client.run(address, load.clone())))
        .collect();
    let stalls = runtime.spawn(watch_stalls(load.clone()));
    let result = during(&load);
    load.stop.store(true, Ordering::SeqCst);
    runtime.block_on(async {
        for task in tasks {
            task.await.unwrap();
        }
        stalls.await.unwrap();
    });
    let mut counts = std::mem::take(&mut *load.counts.lock().unwrap());
    audit(ledger, load.ids.load(Ordering::SeqCst), &mut counts);
    (result, counts)
}

/// How late a timer of the clients' thread is, at most: so long none of them could send or read.
async fn watch_stalls(load: Arc<Load>) {
    const TICK: Duration = Duration::from_millis(20);
    while !load.stop.load(Ordering::SeqCst) {
        let began = Instant::now();
        tokio::time::sleep(TICK).await;
        let late = began.elapsed().saturating_sub(TICK);
        let mut counts = load.counts.lock().unwrap();
        counts.stalled = counts.stalled.max(late);
    }
}

/// No POST came upstream twice, and what was not taken did not come at all.
pub(super) fn audit(ledger: &Ledger, ids: u64, counts: &mut Counts) {
    for id in (0..ids).filter(|id| sent(*id).is_some() && ledger.asked(*id) > 1) {
        let times = ledger.asked(id);
        counts
            .losses
            .push(format!("POST {id} came upstream {times} times"));
    }
    for id in counts.not_taken.iter().filter(|id| ledger.asked(**id) > 0) {
        counts
            .losses
            .push(format!("request {id} was sent on, and its answer is lost"));
    }
}

impl Load {
    /// No client takes a new connection any more; returns when each has been answered on the one it has.
    pub(super) fn leave(&self) {
        self.leaving.store(true, Ordering::SeqCst);
        while self.fresh.load(Ordering::SeqCst) > 0 {
            std::thread::yield_now();
        }
    }

    /// Waits until so many more requests have been answered.
    pub(super) fn answers(&self, more: u64) {
        let answered = || self.counts.lock().unwrap().answered.iter().sum::<u64>();
        let wanted = answered() + more;
        while answered() < wanted && self.counts.lock().unwrap().losses.len() < LOSSES {
            std::thread::sleep(Duration::from_millis(1));
        }
    }

    fn goes_on(&self) -> bool {
        !self.stop.load(Ordering::SeqCst) && self.counts.lock().unwrap().losses.len() < LOSSES
    }

    fn lose(&self, why: String) {
        self.counts.lock().unwrap().losses.push(why);
    }
}

/// A connection that has not been answered yet.
struct Fresh(Arc<Load>);

impl Fresh {
    fn new(load: &Arc<Load>) -> Self {
        load.fresh.fetch_add(1, Ordering::SeqCst);
        Self(load.clone())
    }
}

impl Drop for Fresh {
    fn drop(&mut self) {
        self.0.fresh.fetch_sub(1, Ordering::SeqCst);
    }
}

impl Client {
    async fn run(self, address: SocketAddr, load: Arc<Load>) {
        loop {
            let fresh = Fresh::new(&load);
            if !load.goes_on() || load.leaving.load(Ordering::SeqCst) {
                return;
            }
            let sender = match Sender::connect(address, self.h2).await {
                Ok(sender) => sender,
                Err(error) => {
                    load.lose(format!("a connection was refused: {error}"));
                    continue;
                }
            };
            load.counts.lock().unwrap().connections += 1;
            let mut streams = tokio::task::JoinSet::new();
            let mut fresh = Some(fresh);
            for sender in sender.streams(self.streams) {
                let stream = Stream {
                    load: load.clone(),
                    address,
                    sender,
                    fresh: fresh.take(),
                };
                streams.spawn(stream.run(self.renew_after));
            }
            streams.join_all().await;
        }
    }
}

/// How a request ended that got no right answer.
enum End {
    Lost(String),
    /// The connection was told to go before.
    NotTaken,
}

/// One request after the other.
struct Stream {
    load: Arc<Load>,
    address: SocketAddr,
    sender: Sender,
    fresh: Option<Fresh>,
}

impl Stream {
    async fn run(mut self, requests: u64) {
        for _ in 0..requests {
            if !self.load.goes_on() {
                return;
            }
            let id = self.load.ids.fetch_add(1, Ordering::SeqCst);
            let ended = self.exchange(id).await;
            self.fresh = None;
            match ended {
                Ok(false) => {}
                Ok(true) => {
                    self.load.counts.lock().unwrap().closed += 1;
                    return;
                }
                Err(End::NotTaken) => {
                    self.load.counts.lock().unwrap().not_taken.push(id);
                    return;
                }
                Err(End::Lost(why)) => {
                    self.load.lose(format!("request {id}: {why}"));
                    return;
                }
            }
        }
    }

    /// Sends the request and checks its answer. Whether the connection ends with it.
    async fn exchange(&mut self, id: u64) -> Result<bool, End> {
        let done = self.load.done.load(Ordering::SeqCst);
        let response = self.sender.send(request(self.address, id)).await;
        let response = response.map_err(|error| self.ended(&error))?;
        let begun = self.load.begun.load(Ordering::SeqCst);
        let (head, body) = response.into_parts();
        let body = body.collect().await;
        let body = body.map_err(|error| End::Lost(format!("its body broke: {error}")))?;
        check(id, &head, &body.to_bytes()).map_err(End::Lost)?;
        let seen = head.headers["x-request-version"].to_str();
        let seen = seen.unwrap_or_default();
        if begun == done && seen != version(done) {
            let new = version(done);
            let why = format!("it got {seen} after {new} was acknowledged");
            return Err(End::Lost(why));
        }
        let at = usize::try_from(done).unwrap();
        let mut counts = self.load.counts.lock().unwrap();
        if counts.answered.len() <= at {
            counts.answered.resize(at + 1, 0);
        }
        counts.answered[at] += 1;
        let close = head.headers.get("connection");
        Ok(close.is_some_and(|close| close == "close"))
    }

    /// On a drain, a GOAWAY of no error tells which streams are served (RFC 9113, section 6.8): the books say
    /// whether that is true. Everything else is a loss.
    fn ended(&self, error: &hyper::Error) -> End {
        let cause = std::error::Error::source(error);
        let reason = cause
            .and_then(|cause| cause.downcast_ref::<h2::Error>())
            .and_then(h2::Error::reason);
        let told = reason == Some(h2::Reason::NO_ERROR) || error.is_canceled() || error.is_closed();
        if self.load.leaving.load(Ordering::SeqCst) && self.sender.is_h2() && told {
            return End::NotTaken;
        }
        End::Lost(format!("no answer: {error}: {cause:?}"))
    }
}

fn request(address: SocketAddr, id: u64) -> http::Request<Full<Bytes>> {
    let body = sent(id);
    http::Request::builder()
        .method(if body.is_some() { "POST" } else { "GET" })
        .uri(format!("http://{address}/load/{id}"))
        .header("host", address.to_string())
        .body(Full::from(body.unwrap_or_default()))
        .unwrap()
}

/// Status, id, length and every byte, and one version of the plugin from first phase to last.
fn check(id: u64, head: &http::response::Parts, body: &[u8]) -> Result<(), String> {
    let text = String::from_utf8_lossy(body);
    if head.status != 200 {
        return Err(format!("status {}: {text}", head.status.as_u16()));
    }
    let expected = expected(id);
    if !body.starts_with(format!("id {id},").as_bytes()) {
        return Err(format!("{text} is another request's answer"));
    }
    if body.len() != expected.len() {
        let (got, whole) = (body.len(), expected.len());
        return Err(format!("{got} bytes instead of {whole}"));
    }
    if body != expected {
        return Err(format!("{text} is not what was sent"));
    }
    let versions = (
        head.headers.get("x-request-version"),
        head.headers.get("x-response-version"),
    );
    if versions.0.is_none() || versions.0 != versions.1 {
        return Err(format!("the exchange saw the versions {versions:?}"));
    }
    Ok(())
}

enum Sender {
    H1(hyper::client::conn::http1::SendRequest<Full<Bytes>>),
    H2(hyper::client::conn::http2::SendRequest<Full<Bytes>>),
}

impl Sender {
    async fn connect(address: SocketAddr, h2: bool) -> Result<Self, String> {
        let stream = tokio::net::TcpStream::connect(address).await;
        let stream = stream.map_err(|error| error.to_string())?;
        stream
            .set_nodelay(true)
            .map_err(|error| error.to_string())?;
        let io = TokioIo::new(stream);
        if h2 {
            let made = hyper::client::conn::http2::handshake(TokioExecutor::new(), io).await;
            let (sender, connection) = made.map_err(|error| error.to_string())?;
            tokio::spawn(connection);
            Ok(Self::H2(sender))
        } else {
            let made = hyper::client::conn::http1::handshake(io).await;
            let (sender, connection) = made.map_err(|error| error.to_string())?;
            tokio::spawn(connection);
            Ok(Self::H1(sender))
        }
    }

    /// The connection for so many at once; HTTP/1 has one only.
    fn streams(self, count: usize) -> Vec<Self> {
        match self {
            Self::H1(_) => vec![self],
            Self::H2(sender) => (0..count).map(|_| Self::H2(sender.clone())).collect(),
        }
    }

    fn is_h2(&self) -> bool {
        matches!(self, Self::H2(_))
    }

    async fn send(
        &mut self,
        mut request: http::Request<Full<Bytes>>,
    ) -> hyper::Result<http::Response<hyper::body::Incoming>> {
        match self {
            Self::H1(sender) => {
                *request.uri_mut() = request.uri().path().parse().unwrap();
                sender.ready().await?;
                sender.send_request(request).await
            }
            Self::H2(sender) => {
                sender.ready().await?;
                sender.send_request(request).await
            }
        }
    }
}
