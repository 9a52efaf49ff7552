//! An endpoint that goes bad, and is well again, as a test says.

use std::io::{Read, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::AtomicUsize;
use std::sync::atomic::Ordering::SeqCst;
use std::sync::{Arc, Mutex};

use socket2::SockRef;

/// What becomes of a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Mood {
    /// It is answered with this status and the name of the endpoint.
    Answers(u16),
    /// It is answered with 500, though checks say that all is well.
    Pretends,
    /// It is not answered.
    Hangs,
    /// What comes is not HTTP.
    Garbage,
    /// The answer breaks off in its body.
    BreaksOff,
    /// The connection is closed.
    Closes,
    /// Nothing listens.
    Gone,
}

pub(crate) const WELL: Mood = Mood::Answers(200);

/// An endpoint of HTTP/1.1 with a name. Requests of `/healthz` are kept apart from the others.
pub(crate) struct Endpoint {
    pub(crate) address: SocketAddr,
    shared: Arc<Shared>,
}

struct Shared {
    name: &'static str,
    mood: Mutex<Mood>,
    /// The heads of requests.
    seen: Mutex<Vec<String>>,
    listener: Mutex<Option<TcpListener>>,
    open: Mutex<Vec<TcpStream>>,
    connections: AtomicUsize,
}

impl Endpoint {
    /// One that is well.
    pub(crate) fn start(name: &'static str) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let shared = Arc::new(Shared {
            name,
            mood: Mutex::new(WELL),
            seen: Mutex::default(),
            listener: Mutex::default(),
            open: Mutex::default(),
            connections: AtomicUsize::default(),
        });
        accept(&shared, listener);
        Self { address, shared }
    }

    /// From the next request on; what waits for an answer that does not come is closed.
    pub(crate) fn is(&self, mood: Mood) {
        let before = std::mem::replace(&mut *self.shared.mood.lock().unwrap(), mood);
        if mood == Mood::Gone
            && let Some(listener) = self.shared.listener.lock().unwrap().take()
        {
            // Whoever waits for a connection hears of it, and lets the port go.
            SockRef::from(&listener).shutdown(Shutdown::Both).unwrap();
        }
        if matches!(mood, Mood::Gone) || before == Mood::Hangs {
            for stream in self.shared.open.lock().unwrap().drain(..) {
                // It may be closed already.
                let _closed = stream.shutdown(Shutdown::Both);
            }
        }
        if before == Mood::Gone && mood != Mood::Gone {
            let listener = loop {
                // The one before may still be on its way out.
                match TcpListener::bind(self.address) {
                    Ok(listener) => break listener,
                    Err(_) => std::thread::yield_now(),
                }
            };
            accept(&self.shared, listener);
        }
    }

    /// The heads of requests so far that are no checks.
    pub(crate) fn requests(&self) -> usize {
        self.heads(false).len()
    }

    /// The heads of checks so far.
    pub(crate) fn checks(&self) -> Vec<String> {
        self.heads(true)
    }

    /// How many connections it has.
    pub(crate) fn connections(&self) -> usize {
        self.shared.connections.load(SeqCst)
    }

    fn heads(&self, checks: bool) -> Vec<String> {
        let seen = self.shared.seen.lock().unwrap();
        let is_check = |head: &&String| {
            let path = head.split(' ').nth(1);
            path.is_some_and(|path| path.starts_with("/healthz")) == checks
        };
        seen.iter().filter(is_check).cloned().collect()
    }
}

fn accept(shared: &Arc<Shared>, listener: TcpListener) {
    let handle = listener.try_clone().unwrap();
    *shared.listener.lock().unwrap() = Some(handle);
    let shared = shared.clone();
    std::thread::spawn(move || {
        for stream in listener.incoming().map_while(Result::ok) {
            let handle = stream.try_clone().unwrap();
            shared.open.lock().unwrap().push(handle);
            shared.connections.fetch_add(1, SeqCst);
            let shared = shared.clone();
            std::thread::spawn(move || {
                serve(stream, &shared);
                shared.connections.fetch_sub(1, SeqCst);
            });
        }
    });
}

/// Requests without bodies, one after the other.
fn serve(mut stream: TcpStream, shared: &Shared) {
    let (mut bytes, mut chunk) = (Vec::new(), [0; 4096]);
    loop {
        let end = bytes.windows(4).position(|window| window == b"\r\n\r\n");
        let Some(end) = end else {
            match stream.read(&mut chunk) {
                Ok(0) | Err(_) => return,
                Ok(length) => bytes.extend_from_slice(&chunk[..length]),
            }
            continue;
        };
        let head: Vec<_> = bytes.drain(..end + 4).collect();
        let head = String::from_utf8_lossy(&head).into_owned();
        let is_check = head.contains(" /healthz");
        shared.seen.lock().unwrap().push(head);
        let name = shared.name;
        let length = name.len();
        let mood = match *shared.mood.lock().unwrap() {
            Mood::Pretends if is_check => WELL,
            Mood::Pretends => Mood::Answers(500),
            mood => mood,
        };
        let (answer, closes) = match mood {
            Mood::Answers(status) => (
                format!("HTTP/1.1 {status} Said\r\ncontent-length: {length}\r\n\r\n{name}"),
                false,
            ),
            Mood::Hangs => continue,
            Mood::Garbage => ("SSH-2.0-OpenSSH\r\n\r\n".to_owned(), true),
            Mood::BreaksOff => (
                "HTTP/1.1 200 OK\r\ncontent-length: 99\r\n\r\nsome".to_owned(),
                true,
            ),
            Mood::Closes | Mood::Gone | Mood::Pretends => (String::new(), true),
        };
        let sent = stream.write_all(answer.as_bytes());
        if closes || sent.is_err() {
            let _closed = stream.shutdown(Shutdown::Both);
            return;
        }
    }
}
