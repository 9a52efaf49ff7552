//! An upstream that does nothing by itself: it keeps every byte of every connection, and the test says what it
//! answers and when.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener};
use std::os::unix::net::UnixListener;
use std::path::Path;
use std::sync::{Arc, Condvar, Mutex};
use std::time::{Duration, Instant};

use socket2::Socket;

const PATIENCE: Duration = Duration::from_secs(20);

/// The upstream.
pub(crate) struct Recorder {
    pub(crate) address: SocketAddr,
    wires: Arc<Wires>,
}

#[derive(Default)]
struct Wires {
    wires: Mutex<Vec<Wire>>,
    changed: Condvar,
}

/// One connection to it.
pub(crate) struct Wire {
    /// All that came.
    pub(crate) bytes: Vec<u8>,
    /// The other side closed or reset it.
    pub(crate) ended: bool,
    stream: Socket,
}

impl Wire {
    /// What came, as text.
    pub(crate) fn text(&self) -> String {
        String::from_utf8_lossy(&self.bytes).into_owned()
    }

    /// Whether the head of a request is there, and nothing of a second.
    pub(crate) fn has_head(&self) -> bool {
        self.bytes.windows(4).any(|window| window == b"\r\n\r\n")
    }

    /// What came after the head.
    pub(crate) fn body(&self) -> &[u8] {
        let end = self
            .bytes
            .windows(4)
            .position(|window| window == b"\r\n\r\n");
        end.map_or(&[], |end| &self.bytes[end + 4..])
    }
}

impl Recorder {
    pub(crate) fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        Self::accepting(address, move || listener.accept().map(|it| it.0.into()))
    }

    /// On a unix socket at this path. The address is none.
    pub(crate) fn at(path: &Path) -> Self {
        let listener = UnixListener::bind(path).unwrap();
        let nowhere = SocketAddr::from(([0; 4], 0));
        Self::accepting(nowhere, move || listener.accept().map(|it| it.0.into()))
    }

    fn accepting(
        address: SocketAddr,
        accept: impl Fn() -> std::io::Result<Socket> + Send + 'static,
    ) -> Self {
        let wires = Arc::new(Wires::default());
        let accepted = wires.clone();
        std::thread::spawn(move || {
            while let Ok(stream) = accept() {
                let wires = accepted.clone();
                std::thread::spawn(move || record(stream, &wires));
            }
        });
        Self { address, wires }
    }

    /// Waits until the connections are as wanted, and returns what is asked of them.
    pub(crate) fn wait<T>(&self, what: &str, wanted: impl Fn(&[Wire]) -> Option<T>) -> T {
        let began = Instant::now();
        let mut wires = self.wires.wires.lock().unwrap();
        loop {
            if let Some(found) = wanted(&wires) {
                return found;
            }
            let left = PATIENCE.checked_sub(began.elapsed()).unwrap_or_else(|| {
                let texts: Vec<String> = wires.iter().map(Wire::text).collect();
                panic!("{what} did not happen; the upstream got {texts:?}")
            });
            wires = self.wires.changed.wait_timeout(wires, left).unwrap().0;
        }
    }

    /// Waits for the head of a request on connection `at`.
    pub(crate) fn head(&self, at: usize) {
        self.wait("a head", |wires| wires.get(at)?.has_head().then_some(()));
    }

    /// Waits for the gateway to end connection `at`.
    pub(crate) fn ended(&self, at: usize) {
        self.wait("the end of a connection", |wires| {
            wires.get(at)?.ended.then_some(())
        });
    }

    /// What came on connection `at` so far, after the head.
    pub(crate) fn body(&self, at: usize) -> Vec<u8> {
        self.wires.wires.lock().unwrap()[at].body().to_vec()
    }

    /// How many connections there were, and how many of them are open.
    pub(crate) fn counts(&self) -> (usize, usize) {
        let wires = self.wires.wires.lock().unwrap();
        let open = wires.iter().filter(|wire| !wire.ended).count();
        (wires.len(), open)
    }

    /// Writes to connection `at`.
    pub(crate) fn send(&self, at: usize, bytes: &[u8]) {
        let mut stream = self.stream(at);
        stream.write_all(bytes).unwrap();
    }

    /// Writes to connection `at` for as long as somebody reads.
    pub(crate) fn pour(&self, at: usize, bytes: &[u8]) {
        let mut stream = self.stream(at);
        // The gateway may end the connection at any byte: that is what the test is about.
        let _ended = stream.write_all(bytes);
    }

    /// Closes connection `at`.
    pub(crate) fn close(&self, at: usize) {
        self.stream(at).shutdown(std::net::Shutdown::Both).unwrap();
    }

    fn stream(&self, at: usize) -> Socket {
        self.wires.wires.lock().unwrap()[at]
            .stream
            .try_clone()
            .unwrap()
    }
}

fn record(mut stream: Socket, wires: &Wires) {
    let at = {
        let mut all = wires.wires.lock().unwrap();
        all.push(Wire {
            bytes: Vec::new(),
            ended: false,
            stream: stream.try_clone().unwrap(),
        });
        all.len() - 1
    };
    wires.changed.notify_all();
    let mut chunk = [0; 16 << 10];
    loop {
        let read = stream.read(&mut chunk);
        let mut all = wires.wires.lock().unwrap();
        match read {
            Ok(length) if length > 0 => all[at].bytes.extend_from_slice(&chunk[..length]),
            _ => all[at].ended = true,
        }
        let ended = all[at].ended;
        drop(all);
        wires.changed.notify_all();
        if ended {
            return;
        }
    }
}
