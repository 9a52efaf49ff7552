use std::thread;
use std::time::Duration;

use super::super::{Algorithm, Namespace, OVERHEAD, Quota, StateError};
use super::*;

/// A store for so many entries of so many bytes each, and its namespaces.
struct Scene {
    store: Arc<Memory>,
    names: Vec<Arc<str>>,
}

const QUOTA: Quota = Quota {
    algorithm: Algorithm::FixedWindow,
    limit: 1,
    window_ms: u32::MAX,
    burst: 0,
};

impl Scene {
    fn new(most: Amount, names: &[&str]) -> Self {
        let names: Vec<Arc<str>> = names.iter().map(|name| (*name).into()).collect();
        let store = Memory::new(most, &names);
        Self { store, names }
    }

    /// Bounded in entries alone.
    fn of_entries(entries: usize, names: &[&str]) -> Self {
        let bytes = 1 << 40;
        Self::new(Amount { entries, bytes }, names)
    }

    /// Bounded in bytes alone.
    fn of_bytes(bytes: usize, names: &[&str]) -> Self {
        let entries = 1 << 40;
        Self::new(Amount { entries, bytes }, names)
    }

    fn resize(&mut self, most: Amount, names: &[&str]) {
        self.names = names.iter().map(|name| (*name).into()).collect();
        self.store.resize(most, &self.names);
        self.store.shrink();
    }

    fn namespace(&self, name: &str) -> Namespace {
        Namespace::new(&self.store, &name.into())
    }

    fn held(&self, name: &str) -> Held {
        let held = self.store.held();
        held.into_iter().find(|held| *held.name == *name).unwrap()
    }

    fn entries(&self, name: &str) -> usize {
        self.held(name).amount.entries
    }

    /// What is charged is what there is, and within the bounds.
    #[track_caller]
    fn assert_sound(&self) {
        let (used, most) = (self.store.used.get(), self.store.most.get());
        assert!(used.entries <= most.entries, "{used:?} of {most:?}");
        assert!(used.bytes <= most.bytes, "{used:?} of {most:?}");
        let mut sum = Amount::NONE;
        for space in self.store.spaces.load().iter() {
            assert_eq!(space.used.get(), space.amount(), "{}", space.name);
            sum = sum.plus(space.amount());
        }
        assert_eq!(used, sum);
    }
}

fn value(length: usize) -> Arc<[u8]> {
    vec![b'v'; length].into()
}

/// Takes the one that each of so many keys has.
fn take(state: &Namespace, count: usize) {
    for number in 0..count {
        let key = format!("client-{number}");
        assert!(state.acquire(&key, &QUOTA, 1).unwrap().allowed, "{key}");
    }
}

/// How many of these keys were forgotten: whether one was is told by taking again.
fn forgotten(state: &Namespace, count: usize) -> usize {
    let allowed = |number: &usize| {
        let key = format!("client-{number}");
        state.acquire(&key, &QUOTA, 1).unwrap().allowed
    };
    (0..count).filter(allowed).count()
}

fn flood(state: &Namespace, count: usize, size: usize) {
    for number in 0..count {
        let key = format!("flood-{number}");
        if number % 2 == 0 {
            state.acquire(&key, &QUOTA, 1).unwrap();
        } else {
            state.set(&key, value(size), None).unwrap();
        }
    }
}

#[test]
fn a_flood_of_keys_evicts_nothing_of_a_namespace_within_its_share() {
    let scene = Scene::of_entries(1_000, &["limit", "flood"]);
    let (limit, other) = (scene.namespace("limit"), scene.namespace("flood"));
    take(&limit, 500);
    flood(&other, 100_000, 0);
    assert_eq!(forgotten(&limit, 500), 0);
    assert_eq!(scene.entries("flood"), 500);
    assert_eq!(scene.held("limit").evictions, 0);
    assert_eq!(scene.held("flood").evictions, 99_500);
    scene.assert_sound();
}

#[test]
fn a_flood_of_bytes_evicts_nothing_of_a_namespace_within_its_share() {
    let scene = Scene::of_bytes(8 << 20, &["limit", "flood"]);
    let (limit, other) = (scene.namespace("limit"), scene.namespace("flood"));
    take(&limit, 5_000);
    flood(&other, 1_000, 1 << 20);
    assert_eq!(forgotten(&limit, 5_000), 0);
    scene.assert_sound();
    assert!(scene.held("flood").amount.bytes > 5 << 20);
}

#[test]
fn what_is_unused_is_lent_and_comes_back_when_it_is_wanted() {
    let scene = Scene::of_entries(1_000, &["limit", "flood", "third", "fourth"]);
    let (limit, other) = (scene.namespace("limit"), scene.namespace("flood"));
    take(&other, 1_000);
    assert_eq!(scene.entries("flood"), 1_000);
    assert_eq!(scene.held("flood").evictions, 0);
    take(&limit, 250);
    assert_eq!((scene.entries("limit"), scene.entries("flood")), (250, 750));
    flood(&other, 10_000, 0);
    assert_eq!(forgotten(&limit, 250), 0);
    scene.assert_sound();
}

#[test]
fn of_two_over_their_share_the_one_further_over_goes_first() {
    let scene = Scene::of_entries(1_000, &["one", "other", "idle", "idle too"]);
    let (one, other) = (scene.namespace("one"), scene.namespace("other"));
    take(&one, 1_000);
    flood(&other, 10_000, 0);
    let (one, other) = (scene.entries("one"), scene.entries("other"));
    assert_eq!(one + other, 1_000);
    assert!(one.abs_diff(other) <= BATCH, "{one} and {other}");
}

#[test]
fn a_namespace_over_its_share_in_entries_pays_for_entries_and_one_in_bytes_for_bytes() {
    let most = Amount {
        entries: 1_000,
        bytes: 1 << 20,
    };
    let scene = Scene::new(most, &["many", "large"]);
    let (many, large) = (scene.namespace("many"), scene.namespace("large"));
    large.set("largest", value(500_000), None).unwrap();
    take(&many, 990);
    for number in 0..1_000 {
        large
            .set(&format!("large-{number}"), value(20_000), None)
            .unwrap();
        let key = format!("many-{number}");
        many.acquire(&key, &QUOTA, 1).unwrap();
        scene.assert_sound();
    }
    // It never was over its share in entries, and the other never in bytes.
    assert!(scene.entries("many") > 900, "{:?}", scene.held("many"));
    assert!(
        scene.held("large").amount.bytes >= 500_000,
        "{:?}",
        scene.held("large")
    );
}

#[test]
fn an_entry_that_grows_makes_room_and_one_that_shrinks_gives_it_back() {
    let scene = Scene::of_bytes(100_000, &["one", "other"]);
    let (one, other) = (scene.namespace("one"), scene.namespace("other"));
    flood(&other, 1_000, 0);
    for length in [0, 40_000, 10, 49_000, 0, 20_000] {
        one.set("k", value(length), None).unwrap();
        assert_eq!(
            scene.held("one").amount,
            Amount::entry(OVERHEAD + 1 + length)
        );
        scene.assert_sound();
    }
    assert_eq!(one.increment("n", i64::MAX, None), Ok(i64::MAX));
    one.delete("k").unwrap();
    one.delete("n").unwrap();
    assert_eq!(scene.held("one").amount, Amount::NONE);
    scene.assert_sound();
}

#[test]
fn what_has_expired_goes_as_new_keys_come_and_is_no_eviction() {
    let scene = Scene::of_entries(100_000, &["one"]);
    let one = scene.namespace("one");
    for number in 0..50_000 {
        let key = number.to_string();
        one.set(&key, value(1), Some(Duration::ZERO)).unwrap();
    }
    let left = scene.entries("one");
    assert!(left < 1_000, "{left}");
    assert_eq!(scene.held("one").evictions, 0);
    scene.assert_sound();
}

#[test]
fn of_a_namespace_over_its_share_expired_entries_go_before_others() {
    let scene = Scene::of_entries(1_000, &["one"]);
    let one = scene.namespace("one");
    take(&one, 100);
    for number in 0..900 {
        // No sweep has met them by the time that the store is full.
        one.set(
            &number.to_string(),
            value(0),
            Some(Duration::from_millis(200)),
        )
        .unwrap();
    }
    thread::sleep(Duration::from_millis(250));
    flood(&one, 100, 0);
    assert_eq!(scene.held("one").evictions, 0);
    assert_eq!(forgotten(&one, 100), 0);
}

#[test]
fn a_smaller_store_shrinks_and_takes_nothing_from_a_namespace_within_its_share() {
    let mut scene = Scene::of_entries(100_000, &["one", "other"]);
    let (one, other) = (scene.namespace("one"), scene.namespace("other"));
    take(&one, 500);
    flood(&other, 50_000, 0);
    let bytes = 1 << 40;
    scene.resize(
        Amount {
            entries: 1_000,
            bytes,
        },
        &["one", "other"],
    );
    scene.assert_sound();
    assert_eq!((scene.entries("one"), scene.entries("other")), (500, 500));
    assert_eq!(forgotten(&one, 500), 0);
    let entries = 1_000;
    let bytes = 300 * (OVERHEAD + 10);
    scene.resize(Amount { entries, bytes }, &["one", "other"]);
    scene.assert_sound();
    assert!(scene.entries("one") >= 140, "{:?}", scene.held("one"));
}

#[test]
fn who_comes_while_the_store_shrinks_evicts_little_more_than_it_brings() {
    let scene = Scene::of_entries(100_000, &["one"]);
    let one = scene.namespace("one");
    take(&one, 10_000);
    let bytes = 1 << 40;
    scene
        .store
        .resize(Amount { entries: 10, bytes }, &scene.names);
    flood(&one, 100, 0);
    assert_eq!(scene.entries("one"), 10_000 - 100 * MORE.entries);
}

#[test]
fn shares_follow_the_namespaces_and_counters_of_those_that_stay_are_kept() {
    let mut scene = Scene::of_entries(1_000, &["stays", "goes"]);
    let (stays, goes) = (scene.namespace("stays"), scene.namespace("goes"));
    take(&stays, 500);
    take(&goes, 500);
    let bytes = 1 << 40;
    let most = Amount {
        entries: 1_000,
        bytes,
    };
    scene.resize(most, &["stays", "comes"]);
    // Nothing was wanted yet, so even what has no share any more is there.
    assert_eq!((scene.entries("stays"), scene.entries("goes")), (500, 500));
    let comes = scene.namespace("comes");
    take(&comes, 500);
    assert_eq!(scene.entries("goes"), 0);
    assert_eq!(forgotten(&stays, 500), 0);
    assert_eq!(forgotten(&comes, 500), 0);
    // An exchange of the old configuration goes on, and takes nothing from the others.
    for number in 0..100 {
        goes.acquire(&number.to_string(), &QUOTA, 1).unwrap();
    }
    assert_eq!(scene.entries("goes"), 1);
    assert_eq!(forgotten(&stays, 500), 0);
    scene.resize(most, &["stays", "comes", "a third", "a fourth"]);
    scene.assert_sound();
    flood(&scene.namespace("a third"), 10_000, 0);
    let third = scene.entries("a third");
    assert!((320..=350).contains(&third), "{third}");
    scene.assert_sound();
}

#[test]
fn a_namespace_that_holds_nothing_and_that_nothing_holds_is_forgotten() {
    let mut scene = Scene::of_entries(10, &["one"]);
    let most = scene.store.most.get();
    let one = scene.namespace("one");
    scene.resize(most, &["two"]);
    assert_eq!(scene.store.held().len(), 1, "a plugin holds it");
    drop(one);
    scene.resize(most, &["two"]);
    assert!(scene.store.held().is_empty());
}

#[test]
fn a_namespace_of_a_configuration_that_is_not_in_force_yet_may_use_what_is_unused() {
    let scene = Scene::of_entries(100, &["one"]);
    let (one, tried) = (scene.namespace("one"), scene.namespace("tried"));
    take(&tried, 100);
    take(&one, 100);
    assert_eq!((scene.entries("one"), scene.entries("tried")), (100, 0));
    assert_eq!(forgotten(&one, 100), 0);
}

#[test]
fn threads_that_flood_keep_the_store_within_its_bounds_and_others_within_their_share() {
    let most = Amount {
        entries: 2_000,
        bytes: 4 << 20,
    };
    let scene = Scene::new(most, &["limit", "one", "two", "three"]);
    let limit = scene.namespace("limit");
    take(&limit, 500);
    thread::scope(|scope| {
        for name in ["one", "one", "two", "three"] {
            let state = scene.namespace(name);
            scope.spawn(move || {
                for number in 0..20_000_usize {
                    let key = fastrand::u16(..5_000).to_string();
                    let _any = match number % 5 {
                        0 => state.delete(&key),
                        1 => state.increment(&key, 1, None).map(drop),
                        2 => state.acquire(&key, &QUOTA, 1).map(drop),
                        3 => state.set(&key, value(fastrand::usize(..20_000)), None),
                        _ => state.compare_and_swap(&key, None, value(number % 300), None),
                    };
                }
            });
        }
    });
    scene.assert_sound();
    assert_eq!(forgotten(&limit, 500), 0);
    assert_eq!(scene.held("limit").evictions, 0);
}

#[test]
fn whatever_is_done_the_charges_are_what_there_is() {
    let scene = Scene::of_bytes(200_000, &["one", "other"]);
    let spaces = [scene.namespace("one"), scene.namespace("other")];
    let (mut too_large, mut conflicts) = (0, 0);
    for _ in 0..20_000 {
        let state = &spaces[usize::from(fastrand::bool())];
        let key = fastrand::u8(..50).to_string();
        let ttl = fastrand::bool().then(|| Duration::from_millis(fastrand::u64(..3)));
        let size = fastrand::usize(..120_000);
        let done = match fastrand::u8(..6) {
            0 => state.get(&key).map(drop),
            1 => state.set(&key, value(size), ttl),
            2 => state.delete(&key),
            3 => state.increment(&key, 1, ttl).map(drop),
            4 => state.compare_and_swap(&key, None, value(size / 100), ttl),
            _ => state.acquire(&key, &QUOTA, 1).map(drop),
        };
        too_large += usize::from(done == Err(StateError::TooLarge));
        conflicts += usize::from(done == Err(StateError::Conflict));
        scene.assert_sound();
    }
    assert!(too_large > 0 && conflicts > 0, "{too_large}, {conflicts}");
}
