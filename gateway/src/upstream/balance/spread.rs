//! How requests are spread over endpoints: what is worked out of their weights beforehand, and the choice.

use super::hash;
use crate::upstream::endpoint::Member;

/// Requests under way that an endpoint may always have: what bounds the load of a hash is about more.
const FREE: u64 = 8;

/// Endpoints over which requests are spread.
#[derive(Debug)]
pub(in crate::upstream) struct Spread {
    members: Vec<Member>,
    /// Of the weights up to each, its own included.
    sums: Vec<u64>,
    is_even: bool,
    id: u64,
}

impl Spread {
    pub(in crate::upstream) fn new(members: Vec<Member>) -> Self {
        let mut sum = 0;
        let sums = members.iter().map(|member| {
            sum += u64::from(member.weight);
            sum
        });
        let sums = sums.collect();
        let seed = u64::try_from(members.len()).unwrap_or(u64::MAX);
        let id = members.iter().fold(seed, |id, member| {
            hash::both(id, hash::both(member.endpoint.token, member.weight.into()))
        });
        let is_even = members.windows(2).all(|two| two[0].weight == two[1].weight);
        Self {
            members,
            sums,
            is_even,
            id,
        }
    }

    pub(in crate::upstream) fn members(&self) -> &[Member] {
        &self.members
    }

    /// Whether all weigh the same.
    pub(super) fn is_even(&self) -> bool {
        self.is_even
    }

    /// What tells these endpoints, with their weights, from others.
    pub(super) fn id(&self) -> u64 {
        self.id
    }

    /// The one of this token, if it is open.
    pub(super) fn named(&self, token: u64, open: impl Fn(&Member) -> bool) -> Option<usize> {
        let mut members = self.members.iter();
        members.position(|member| member.endpoint.token == token && open(member))
    }

    /// Any that is open, as often as its weight says.
    pub(in crate::upstream) fn any(&self, open: impl Fn(&Member) -> bool) -> Option<usize> {
        self.draw(None, &open)
    }

    /// Of two that are drawn by weight, the one with fewer requests under way for its weight; the first where both have as
    /// many (nginx's `random two least_conn`).
    pub(super) fn less_busy(&self, open: impl Fn(&Member) -> bool) -> Option<usize> {
        let one = self.draw(None, &open)?;
        let Some(other) = self.draw(Some(one), &open) else {
            return Some(one);
        };
        // What each would have if it weighed as much as both together.
        let [of_one, of_other] = [(one, other), (other, one)].map(|(at, beside)| {
            self.members[at].endpoint.in_flight.about() * u64::from(self.members[beside].weight)
        });
        Some(if of_other < of_one { other } else { one })
    }

    /// One that is open, but not this one, by weight.
    fn draw(&self, but: Option<usize>, open: &impl Fn(&Member) -> bool) -> Option<usize> {
        let drawn = self.draw_of_all(but)?;
        if open(&self.members[drawn]) {
            return Some(drawn);
        }
        let members = self.members.iter().enumerate();
        let others = members.filter(|(at, member)| Some(*at) != but && open(member));
        let others: Vec<_> = others
            .map(|(at, member)| (at, u64::from(member.weight)))
            .collect();
        let sum = others.iter().map(|(_, weight)| weight).sum::<u64>();
        let mut left = (sum > 0).then(|| fastrand::u64(..sum))?;
        let found = others.iter().find(|(_, weight)| {
            let is_here = left < *weight;
            left = left.saturating_sub(*weight);
            is_here
        });
        found.map(|(at, _)| *at)
    }

    /// One of all but this one, by weight.
    fn draw_of_all(&self, but: Option<usize>) -> Option<usize> {
        // The sums that are its own are left out, and those behind move up.
        let (begins, weight) = but.map_or((u64::MAX, 0), |at| {
            let weight = u64::from(self.members[at].weight);
            (self.sums[at] - weight, weight)
        });
        let all = self.sums.last()? - weight;
        let place = (all > 0).then(|| fastrand::u64(..all))?;
        let place = match place >= begins {
            true => place + weight,
            false => place,
        };
        Some(self.sums.partition_point(|sum| *sum <= place))
    }

    /// The one that a key leads to, of those that are open: weighted rendezvous hashing, as it decides between the arms of
    /// a split. An endpoint that comes or goes moves no key between the others. One that has more to do than it may hands
    /// on to the next in the order of the key: 1.25 times its share of what is under way ("Consistent hashing with bounded
    /// loads", Mirrokni, Thorup and Zadimoghaddam, 2017).
    pub(super) fn by_key(&self, key: u64, open: impl Fn(&Member) -> bool) -> Option<usize> {
        let first = self.nearest(key, None, &open)?;
        let mut next = Some(first);
        while let Some(near) = next {
            if self.has_room(near.1, &open) {
                return Some(near.1);
            }
            next = self.nearest(key, next, &open);
        }
        Some(first.1)
    }

    /// The nearest to a key that is open, behind one of them if that is given; how near, and which.
    #[inline]
    fn nearest(
        &self,
        key: u64,
        behind: Option<(f64, usize)>,
        open: &impl Fn(&Member) -> bool,
    ) -> Option<(f64, usize)> {
        let mut nearest: Option<(f64, usize)> = None;
        for (at, member) in self.members.iter().enumerate() {
            let drawn = hash::both(key, member.endpoint.token);
            let place = match self.is_even {
                // The logarithm changes no order.
                true => (-(drawn as f64), at),
                false => (-uniform(drawn).ln() / f64::from(member.weight), at),
            };
            let is_nearer = nearest.is_none_or(|nearest| place < nearest)
                && behind.is_none_or(|behind| place > behind);
            if is_nearer && open(member) {
                nearest = Some(place);
            }
        }
        nearest
    }

    /// Whether an endpoint may have one more request, by its share of all that are under way.
    #[inline]
    fn has_room(&self, at: usize, open: &impl Fn(&Member) -> bool) -> bool {
        let member = &self.members[at];
        let has = member.endpoint.in_flight.about();
        if has < FREE {
            return true;
        }
        let (mut all, mut weights) = (1, 0);
        for member in self.members.iter().filter(|member| open(member)) {
            all += member.endpoint.in_flight.about();
            weights += u64::from(member.weight);
        }
        let share = 5 * all * u64::from(member.weight);
        has < share.div_ceil(4 * weights.max(1))
    }
}

/// A hash as a number between 0 and 1, neither of them included.
fn uniform(hash: u64) -> f64 {
    ((hash >> 12) as f64 + 0.5) / (1_u64 << 52) as f64
}
