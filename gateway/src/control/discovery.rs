//! Follows the names of endpoints: asks the DNS as long as they are in force, and tells their upstreams.

mod resolver;

use std::fmt;
use std::net::{IpAddr, SocketAddr};
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::mpsc;
use tokio::task::JoinSet;
use tokio::time::{sleep, timeout};

use self::resolver::{Answered, Family, Ready, Resolver, Trouble};
use crate::config::Named;
use crate::snapshot::Snapshot;
use crate::upstream::{Followed, Learnt, Upstream};

/// How long a start or a reload waits for names that were never asked for.
const FIRST: Duration = Duration::from_secs(2);

/// How long a name that was never resolved is asked for before the log says so. Servers that are silent are given up only
/// seconds later, and requests are refused meanwhile.
const SAID_AFTER: Duration = Duration::from_secs(1);

/// What that means for requests.
const NONE_YET: &str = "it has no endpoint yet";

/// How long an answer is believed at least: a TTL of 0 is no leave to ask without end.
const LEAST: Duration = Duration::from_secs(1);

/// And at most: whoever gives a TTL of years may regret it.
const MOST: Duration = Duration::from_hours(24);

/// The most addresses that a line of the log shows.
const SHOWN: usize = 16;

/// How long until it is asked again after there was no answer: this the first time, and twice as long each time, but no
/// longer than the second.
const AGAIN: Duration = Duration::from_secs(1);
const AGAIN_AT_MOST: Duration = Duration::from_secs(10);

/// Tasks that follow the names of one snapshot, each its own, until this is dropped.
#[derive(Debug, Default)]
pub(super) struct Following(JoinSet<()>);

impl Following {
    /// Begins. Returns once every name was asked for, now or before, and in any case after a while.
    pub(super) async fn start(snapshot: &Snapshot) -> Self {
        let mut tasks = JoinSet::new();
        let (asking, mut asked) = mpsc::channel(1);
        let servers: Arc<[SocketAddr]> = snapshot.config.server.resolver.as_slice().into();
        for upstream in snapshot.upstreams.iter() {
            let Some(followed) = upstream.followed() else {
                continue;
            };
            followed.take_up();
            for at in 0..followed.names().len() {
                let first = (!followed.was_asked(at)).then(|| asking.clone());
                tasks.spawn(follow(upstream.clone(), at, servers.clone(), first));
            }
        }
        drop(asking);
        // No task sends anything: it ends with the last who lets go.
        let _late = timeout(FIRST, asked.recv()).await;
        Self(tasks)
    }

    /// Ends, and returns once none of them does anything any more.
    pub(super) async fn end(mut self) {
        self.0.shutdown().await;
    }
}

async fn follow(
    upstream: Arc<Upstream>,
    at: usize,
    servers: Arc<[SocketAddr]>,
    mut first: Option<mpsc::Sender<()>>,
) {
    let Some(followed) = upstream.followed() else {
        return;
    };
    let one = One {
        upstream: &upstream,
        followed,
        name: &followed.names()[at],
        at,
    };
    let mut resolver = Resolver::new(servers);
    let (mut failures, mut said) = (0, None);
    loop {
        let pause = match one.ask(&mut resolver, first.is_some()).await {
            Ok(ttl) => {
                if said.take().is_some() {
                    tracing::info!(upstream = %upstream.name, name = %one.name, "the name resolves again");
                }
                failures = 0;
                one.name.refresh.unwrap_or_else(|| ttl.clamp(LEAST, MOST))
            }
            Err(trouble) => {
                if said.as_ref() != Some(&trouble) {
                    one.tell(&trouble, &resolver);
                    said = Some(trouble);
                }
                // The system may have other servers by now.
                resolver.forget();
                let pause = AGAIN.saturating_mul(1 << failures).min(AGAIN_AT_MOST);
                failures = (failures + 1).min(8);
                one.name.refresh.map_or(pause, |refresh| refresh.min(pause))
            }
        };
        drop(first.take());
        sleep(pause).await;
    }
}

/// A name of an upstream.
struct One<'a> {
    upstream: &'a Upstream,
    followed: &'a Followed,
    name: &'a Named,
    at: usize,
}

impl One<'_> {
    /// Asks for the addresses once, and takes each answer up as it comes. For how long all of it may be believed.
    ///
    /// # Errors
    /// If there is no answer to take the place of the last good one, or only a part of it.
    async fn ask(&self, resolver: &mut Resolver, is_first: bool) -> Result<Duration, Trouble> {
        let asked = match resolver.ready() {
            Ok(ready) => {
                let both = async {
                    tokio::join!(
                        self.ask_for(ready, Family::V4),
                        self.ask_for(ready, Family::V6)
                    )
                };
                match is_first {
                    true => self.told_if_late(both, ready).await,
                    false => both.await,
                }
            }
            Err(trouble) => (Err(trouble.clone()), Err(trouble)),
        };
        let result = self.conclude(asked);
        let outcome = result
            .as_ref()
            .map_or_else(Trouble::outcome, |_| "resolved");
        let name = self.name.to_string();
        self.upstream.metrics.resolution(&name, outcome);
        let trouble = result.as_ref().err();
        self.followed
            .asked(self.at, trouble.map(ToString::to_string));
        result
    }

    /// Waits for the first answer of all, and says that it does where that takes its time.
    async fn told_if_late<T>(&self, asking: impl Future<Output = T>, ready: &Ready) -> T {
        let mut asking = pin!(asking);
        match timeout(SAID_AFTER, &mut asking).await {
            Ok(asked) => return asked,
            // One family is enough.
            Err(_) if self.followed.is_known(self.at) => {}
            Err(_) => {
                let (upstream, asked) = (&self.upstream.name, ready.servers());
                tracing::warn!(%upstream, name = %self.name, asked, "waiting for the DNS, which has not answered yet; {NONE_YET}");
            }
        }
        asking.await
    }

    async fn ask_for(&self, resolver: &Ready, family: Family) -> Result<Duration, Trouble> {
        let Answered { addresses, ttl } = resolver.ask(&self.name.host, family).await?;
        self.learn(family, addresses);
        Ok(ttl)
    }

    fn conclude(
        &self,
        (v4, v6): (Result<Duration, Trouble>, Result<Duration, Trouble>),
    ) -> Result<Duration, Trouble> {
        match (v4, v6) {
            (Ok(v4), Ok(v6)) => Ok(v4.min(v6)),
            (Ok(ttl), Err(trouble)) if trouble.is_none() => {
                self.learn(Family::V6, Vec::new());
                Ok(ttl)
            }
            (Err(trouble), Ok(ttl)) if trouble.is_none() => {
                self.learn(Family::V4, Vec::new());
                Ok(ttl)
            }
            // What went wrong tells more than that there is nothing.
            (Err(none), Err(trouble)) if none.is_none() => Err(trouble),
            (Err(trouble), _) | (_, Err(trouble)) => Err(trouble),
        }
    }

    fn learn(&self, family: Family, addresses: Vec<IpAddr>) {
        let learnt = match family {
            Family::V4 => Learnt::V4(addresses),
            Family::V6 => Learnt::V6(addresses),
        };
        let (upstream, name) = (&self.upstream.name, self.name);
        let learned = self.followed.learn(self.at, learnt);
        if let Some(all) = &learned.changed {
            tracing::info!(%upstream, %name, addresses = %Shown(all), "the name has other addresses");
            if learned.left_out > 0 {
                let (left_out, family) = (learned.left_out, family.records());
                tracing::warn!(%upstream, %name, left_out, "the name has too many {family} records; the last in order are no endpoints");
            }
        }
    }

    fn tell(&self, trouble: &Trouble, resolver: &Resolver) {
        let what_stays = match self.followed.is_known(self.at) {
            true => "what is known of it stays",
            false => NONE_YET,
        };
        let upstream = &self.upstream.name;
        let asked = resolver.servers();
        tracing::warn!(%upstream, name = %self.name, asked, "cannot resolve: {trouble}; {what_stays}");
    }
}

/// Addresses in the log: the first of them, where there are many.
struct Shown<'a>(&'a [IpAddr]);

impl fmt::Display for Shown<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let shown: Vec<_> = self.0.iter().take(SHOWN).map(IpAddr::to_string).collect();
        match self.0.len() - shown.len() {
            0 => write!(f, "[{}]", shown.join(", ")),
            more => write!(f, "[{} and {more} more]", shown.join(", ")),
        }
    }
}
