//! A name server of one name, whose records a test changes (RFC 1035).

use std::io::{Read as _, Write as _};
use std::net::{IpAddr, SocketAddr, TcpListener, TcpStream, UdpSocket};
use std::sync::{Arc, Condvar, Mutex};
use std::time::{Duration, Instant};

use super::gateway::PATIENCE;

const A: u16 = 1;
const AAAA: u16 = 28;

/// What the name server says.
#[derive(Debug, Clone)]
pub(crate) enum Says {
    /// These addresses, with this TTL in seconds.
    Addresses(Vec<IpAddr>, u32),
    /// Another status than 0.
    Status(u8),
    /// Nothing at all.
    Nothing,
    /// These one after the other, for each question for A records; the last for good.
    InTurn(Vec<Says>),
}

/// Names with this in them get no answer, whatever it says of others.
const SILENT: &str = "silent";

/// Says what NXDOMAIN and SERVFAIL are.
pub(crate) const NXDOMAIN: Says = Says::Status(3);
pub(crate) const SERVFAIL: Says = Says::Status(2);

/// A name server on a port of its own.
pub(crate) struct NameServer {
    pub(crate) address: SocketAddr,
    state: Arc<(Mutex<State>, Condvar)>,
}

struct State {
    says: Says,
    /// When it was asked for A records.
    asked: Vec<Instant>,
}

impl NameServer {
    /// Says the same to whatever name.
    pub(crate) fn start(says: Says) -> Self {
        // Another may have the port by TCP.
        let bound = (0..100).find_map(|_| {
            let socket = UdpSocket::bind("127.0.0.1:0").ok()?;
            let tcp = TcpListener::bind(socket.local_addr().ok()?).ok()?;
            Some((socket, tcp))
        });
        let (socket, tcp) = bound.unwrap();
        let address = socket.local_addr().unwrap();
        let asked = Vec::new();
        let state = Arc::new((Mutex::new(State { says, asked }), Condvar::new()));
        let shared = state.clone();
        let by_tcp = state.clone();
        std::thread::spawn(move || {
            for stream in tcp.incoming().map_while(Result::ok) {
                // Whoever asks goes as it likes.
                let _served = over_tcp(stream, &by_tcp.0);
            }
        });
        std::thread::spawn(move || {
            let mut query = [0; 1500];
            while let Ok((length, from)) = socket.recv_from(&mut query) {
                let mut state = shared.0.lock().unwrap();
                if let Some(answer) = answer(&query[..length], &mut state).map(datagram) {
                    socket.send_to(&answer, from).unwrap();
                }
                shared.1.notify_all();
            }
        });
        Self { address, state }
    }

    /// These addresses, for a second each time.
    pub(crate) fn of(addresses: &[&str]) -> Self {
        Self::start(addresses_for(addresses, 1))
    }

    /// From now on.
    pub(crate) fn say(&self, says: Says) {
        self.state.0.lock().unwrap().says = says;
    }

    /// These addresses from now on, for a second each time.
    pub(crate) fn have(&self, addresses: &[&str]) {
        self.say(addresses_for(addresses, 1));
    }

    /// Waits until it was asked so often for A records; when.
    pub(crate) fn asked(&self, times: usize) -> Vec<Instant> {
        let began = Instant::now();
        let mut state = self.state.0.lock().unwrap();
        while state.asked.len() < times {
            assert!(began.elapsed() < PATIENCE, "asked {}x", state.asked.len());
            let second = Duration::from_secs(1);
            state = self.state.1.wait_timeout(state, second).unwrap().0;
        }
        state.asked.clone()
    }
}

/// Addresses with a TTL.
pub(crate) fn addresses_for(addresses: &[&str], ttl: u32) -> Says {
    let addresses = addresses.iter().map(|address| address.parse().unwrap());
    Says::Addresses(addresses.collect(), ttl)
}

/// One question by TCP (RFC 1035, section 4.2.2).
fn over_tcp(mut stream: TcpStream, state: &Mutex<State>) -> std::io::Result<()> {
    let mut length = [0; 2];
    stream.read_exact(&mut length)?;
    let mut query = vec![0; u16::from_be_bytes(length).into()];
    stream.read_exact(&mut query)?;
    let Some(answer) = answer(&query, &mut state.lock().unwrap()) else {
        return Ok(());
    };
    let length = u16::try_from(answer.len()).unwrap();
    stream.write_all(&[&length.to_be_bytes()[..], &answer].concat())
}

/// What fits into a datagram: without its records, an answer that is too long.
fn datagram(mut answer: Vec<u8>) -> Vec<u8> {
    if answer.len() > 1200 {
        let end = 12 + answer[12..].iter().position(|byte| *byte == 0).unwrap() + 5;
        answer.truncate(end);
        answer[2] |= 2;
        answer[6..8].fill(0);
    }
    answer
}

fn answer(query: &[u8], state: &mut State) -> Option<Vec<u8>> {
    // The question: labels up to an empty one, a type and a class.
    let labels = query.get(12..)?.iter().position(|byte| *byte == 0)?;
    let end = 12 + labels + 5;
    let question = query.get(12..end)?;
    let kind = u16::from_be_bytes(query.get(end - 4..end - 2)?.try_into().ok()?);
    if is_of(query, SILENT) {
        return None;
    }
    if kind == A {
        state.asked.push(Instant::now());
    }
    let says = match &mut state.says {
        Says::InTurn(all) if all.len() > 1 && kind == A => all.remove(0),
        Says::InTurn(all) => all[0].clone(),
        says => says.clone(),
    };
    let (status, records, ttl): (u8, Vec<Vec<u8>>, u32) = match &says {
        Says::InTurn(_) => return None,
        Says::Nothing => return None,
        Says::Status(status) => (*status, Vec::new(), 0),
        Says::Addresses(addresses, ttl) => {
            let bytes = |address: &IpAddr| match (address, kind) {
                (IpAddr::V4(ip), A) => Some(ip.octets().to_vec()),
                (IpAddr::V6(ip), AAAA) => Some(ip.octets().to_vec()),
                _ => None,
            };
            (0, addresses.iter().filter_map(bytes).collect(), *ttl)
        }
    };
    let mut answer = query.get(..2)?.to_vec();
    answer.extend([0x81, 0x80 | status, 0, 1]);
    answer.extend((records.len() as u16).to_be_bytes());
    answer.extend([0; 4]);
    answer.extend(question);
    for record in records {
        answer.extend([0xc0, 12]);
        answer.extend(kind.to_be_bytes());
        answer.extend([0, 1]);
        answer.extend(ttl.to_be_bytes());
        answer.extend((record.len() as u16).to_be_bytes());
        answer.extend(record);
    }
    Some(answer)
}

fn is_of(query: &[u8], label: &str) -> bool {
    query.windows(label.len()).any(|it| it == label.as_bytes())
}
