use super::super::{Algorithm, OVERHEAD};
use super::*;

const ROOM: Amount = Amount {
    entries: 1_000,
    bytes: 1 << 22,
};

/// The namespace `a` of a store with room for a thousand entries.
fn namespace() -> Namespace {
    namespaces(ROOM).0
}

/// Two namespaces of one store.
fn namespaces(most: Amount) -> (Namespace, Namespace) {
    let names = ["a".into(), "b".into()];
    let store = Memory::new(most, &names);
    let [one, other] = names.map(|name| Namespace::new(&store, &name));
    (one, other)
}

fn quota(limit: u32, window_ms: u32) -> Quota {
    Quota {
        algorithm: Algorithm::FixedWindow,
        limit,
        window_ms,
        burst: 0,
    }
}

fn bytes(text: &str) -> Arc<[u8]> {
    text.as_bytes().into()
}

#[track_caller]
fn assert_holds(state: &Namespace, key: &str, value: Option<&str>) {
    let found = state.get(key).unwrap();
    assert_eq!(found.as_deref(), value.map(str::as_bytes));
}

#[test]
fn namespaces_do_not_see_each_other() {
    let (one, other) = namespaces(ROOM);
    one.set("k", bytes("1"), None).unwrap();
    assert_holds(&one, "k", Some("1"));
    assert_holds(&other, "k", None);
    assert!(one.acquire("k", &quota(1, u32::MAX), 1).unwrap().allowed);
    assert!(other.acquire("k", &quota(1, u32::MAX), 1).unwrap().allowed);
}

#[test]
fn a_value_expires_and_an_increment_keeps_the_first_expiry() {
    let state = namespace();
    state.set("k", bytes("1"), Some(Duration::ZERO)).unwrap();
    assert_holds(&state, "k", None);
    let minute = Some(Duration::from_secs(60));
    assert_eq!(state.increment("n", 2, minute), Ok(2));
    assert_eq!(state.increment("n", -5, Some(Duration::ZERO)), Ok(-3));
    assert_eq!(state.increment("n", 0, None), Ok(-3));
    assert_holds(&state, "n", Some("-3"));
}

#[test]
fn a_number_is_the_text_that_it_was_stored_as_or_would_be() {
    let state = namespace();
    state.set("n", bytes("41"), None).unwrap();
    assert_eq!(state.increment("n", 1, None), Ok(42));
    assert_holds(&state, "n", Some("42"));
    let swapped = state.compare_and_swap("n", Some(b"42"), bytes("x"), None);
    assert_eq!(swapped, Ok(()));
    assert_holds(&state, "n", Some("x"));
    assert_eq!(state.increment("n", 1, None), Err(StateError::TooLarge));
    state.set("n", bytes(&i64::MAX.to_string()), None).unwrap();
    assert_eq!(state.increment("n", 1, None), Err(StateError::TooLarge));
}

#[test]
fn a_swap_needs_the_expected_value() {
    let state = namespace();
    let swap = |expected| state.compare_and_swap("k", expected, bytes("x"), None);
    assert_eq!(swap(Some(b"y".as_slice())), Err(StateError::Conflict));
    assert_eq!(swap(None), Ok(()));
    assert_eq!(swap(None), Err(StateError::Conflict));
    assert_eq!(swap(Some(b"x")), Ok(()));
}

#[test]
fn what_is_too_large_is_refused_and_what_was_there_stays() {
    let state = namespace();
    let key = "k".repeat(MAX_KEY + 1);
    assert_eq!(state.get(&key), Err(StateError::TooLarge));
    state.set("k", bytes("1"), None).unwrap();
    let value: Arc<[u8]> = vec![0; MAX_VALUE + 1].into();
    assert_eq!(state.set("k", value, None), Err(StateError::TooLarge));
    assert_holds(&state, "k", Some("1"));
}

#[test]
fn an_entry_over_the_share_of_its_namespace_is_refused_though_there_is_room() {
    let (one, other) = namespaces(Amount {
        entries: 100,
        bytes: 20_000,
    });
    other.set("k", bytes("1"), None).unwrap();
    let of_share = 10_000 - OVERHEAD - 1;
    for (key, length, expected) in [
        ("k", of_share, Ok(())),
        ("k", of_share + 1, Err(StateError::TooLarge)),
        ("kk", of_share, Err(StateError::TooLarge)),
    ] {
        let value: Arc<[u8]> = vec![b'v'; length].into();
        assert_eq!(
            one.set(key, value.clone(), None),
            expected,
            "{key}, {length}"
        );
        let swapped = one.compare_and_swap("swapped", None, value, None);
        assert_eq!(swapped, Err(StateError::TooLarge), "{key}, {length}");
    }
    assert_eq!(one.get("k").unwrap().unwrap().len(), of_share);
    assert_holds(&other, "k", Some("1"));
}

#[test]
fn a_million_random_keys_neither_grow_the_store_nor_reset_a_hot_key() {
    let most = Amount {
        entries: 10_000,
        bytes: 1 << 30,
    };
    let (state, _) = namespaces(most);
    let quota = quota(1, u32::MAX);
    assert!(state.acquire("hot", &quota, 1).unwrap().allowed);
    for number in 0..1_000_000_u32 {
        state.set(&number.to_string(), bytes(""), None).unwrap();
        if number % 100 == 0 {
            let allowed = state.acquire("hot", &quota, 1).unwrap().allowed;
            assert!(!allowed, "reset after {number} keys");
        }
    }
    assert_eq!(state.store.held()[0].amount.entries, 10_000);
}

#[test]
fn a_store_of_two_entries_keeps_the_one_in_use() {
    let names = ["a".into()];
    let most = Amount {
        entries: 2,
        bytes: 1 << 20,
    };
    let store = Memory::new(most, &names);
    let state = Namespace::new(&store, &names[0]);
    let quota = quota(1, u32::MAX);
    assert!(state.acquire("hot", &quota, 1).unwrap().allowed);
    for number in 0..1_000 {
        state.set(&number.to_string(), bytes(""), None).unwrap();
        assert!(!state.acquire("hot", &quota, 1).unwrap().allowed);
        assert!(store.held()[0].amount.entries <= 2);
    }
}

/// How many are allowed when four threads ask for one key, each so many times.
fn taken_by_four(state: &Namespace, quota: &Quota, each: usize) -> usize {
    let take = || {
        (0..each)
            .filter(|_| state.acquire("k", quota, 1).unwrap().allowed)
            .count()
    };
    std::thread::scope(|scope| {
        let threads: Vec<_> = (0..4).map(|_| scope.spawn(take)).collect();
        threads
            .into_iter()
            .map(|thread| thread.join().unwrap())
            .sum()
    })
}

#[test]
fn threads_together_take_no_more_than_the_limit() {
    let state = namespace();
    let taken = taken_by_four(&state, &quota(1_000, u32::MAX), 1_000);
    assert_eq!(taken, 1_000);
}

#[test]
fn threads_on_a_short_window_never_see_it_go_back() {
    let state = namespace();
    let window = || {
        SystemTime::now()
            .duration_since(UNIX_EPOCH)
            .unwrap()
            .as_millis()
    };
    let first = window();
    let taken = taken_by_four(&state, &quota(1, 1), 20_000);
    let windows = window() - first + 1;
    assert!(
        taken as u128 <= windows,
        "{taken} taken in {windows} windows of one"
    );
}

#[test]
fn values_and_limits_do_not_share_keys() {
    let state = namespace();
    let quota = quota(1, u32::MAX);
    state.set("k", bytes("1"), None).unwrap();
    assert!(state.acquire("k", &quota, 1).unwrap().allowed);
    assert_holds(&state, "k", Some("1"));
    state.set("k", bytes("2"), None).unwrap();
    state.delete("k").unwrap();
    assert!(!state.acquire("k", &quota, 1).unwrap().allowed);
}

#[test]
fn an_algorithm_does_not_read_what_another_one_counted() {
    let state = namespace();
    for allowed in [true, true, false] {
        for algorithm in [
            Algorithm::FixedWindow,
            Algorithm::SlidingWindow,
            Algorithm::TokenBucket,
        ] {
            let quota = Quota {
                algorithm,
                ..quota(2, u32::MAX)
            };
            let decision = state.acquire("k", &quota, 1).unwrap();
            assert_eq!(decision.allowed, allowed, "{algorithm:?}: {decision:?}");
        }
    }
}

#[test]
fn two_windows_of_one_key_are_counted_apart() {
    let state = namespace();
    let (short, long) = (quota(1, u32::MAX - 1), quota(2, u32::MAX));
    let take = |quota: &Quota| state.acquire("k", quota, 1).unwrap().allowed;
    assert!(take(&short) && !take(&short));
    assert!(take(&long) && take(&long) && !take(&long));
}
