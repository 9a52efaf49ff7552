use super::*;

#[test]
fn namespaces_do_not_see_each_other() {
    let state = Memory::new(100);
    state.set("a", "k", Bytes::from_static(b"1"), None).unwrap();
    assert_eq!(state.get("a", "k").unwrap().as_deref(), Some(&b"1"[..]));
    assert_eq!(state.get("b", "k").unwrap(), None);
}

#[test]
fn a_value_expires_and_an_increment_keeps_the_first_expiry() {
    let state = Memory::new(100);
    state
        .set("a", "k", Bytes::from_static(b"1"), Some(Duration::ZERO))
        .unwrap();
    assert_eq!(state.get("a", "k").unwrap(), None);
    assert_eq!(
        state.increment("a", "n", 2, Some(Duration::from_secs(60))),
        Ok(2)
    );
    assert_eq!(state.increment("a", "n", -5, Some(Duration::ZERO)), Ok(-3));
    assert_eq!(state.increment("a", "n", 0, None), Ok(-3));
}

#[test]
fn a_swap_needs_the_expected_value() {
    let state = Memory::new(100);
    let value = Bytes::from_static(b"x");
    assert_eq!(
        state.compare_and_swap("a", "k", Some(b"y"), value.clone(), None),
        Err(StateError::Conflict)
    );
    assert_eq!(
        state.compare_and_swap("a", "k", None, value.clone(), None),
        Ok(())
    );
    assert_eq!(
        state.compare_and_swap("a", "k", None, value.clone(), None),
        Err(StateError::Conflict)
    );
    assert_eq!(
        state.compare_and_swap("a", "k", Some(b"x"), value, None),
        Ok(())
    );
}

#[test]
fn what_is_too_large_or_no_number_is_refused() {
    let state = Memory::new(100);
    let key = "k".repeat(MAX_KEY + 1);
    assert_eq!(state.get("a", &key), Err(StateError::TooLarge));
    let value = Bytes::from(vec![0; MAX_VALUE + 1]);
    assert_eq!(state.set("a", "k", value, None), Err(StateError::TooLarge));
    state
        .set("a", "k", Bytes::from_static(b"abc"), None)
        .unwrap();
    assert_eq!(
        state.increment("a", "k", 1, None),
        Err(StateError::TooLarge)
    );
}

#[test]
fn a_million_random_keys_neither_grow_the_store_nor_reset_a_hot_key() {
    let state = Memory::new(10_000);
    let quota = Quota {
        algorithm: Algorithm::FixedWindow,
        limit: 1,
        window_ms: u32::MAX,
        burst: 0,
    };
    assert!(state.acquire("a", "hot", &quota, 1).unwrap().allowed);
    for number in 0..1_000_000_u32 {
        state
            .set("a", &number.to_string(), Bytes::new(), None)
            .unwrap();
        if number % 100 == 0 {
            assert!(
                !state.acquire("a", "hot", &quota, 1).unwrap().allowed,
                "reset after {number} keys"
            );
        }
    }
    assert!(state.len() <= 10_000, "{} entries", state.len());
}

/// How many are allowed when four threads ask for one key, each so many times.
fn taken_by_four(state: &Memory, quota: &Quota, each: usize) -> usize {
    let take = || {
        (0..each)
            .filter(|_| state.acquire("a", "k", quota, 1).unwrap().allowed)
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
    let state = Memory::new(100);
    let quota = Quota {
        algorithm: Algorithm::FixedWindow,
        limit: 1_000,
        window_ms: u32::MAX,
        burst: 0,
    };
    let taken = taken_by_four(&state, &quota, 1_000);
    assert_eq!(taken, 1_000);
}

#[test]
fn threads_on_a_short_window_never_see_it_go_back() {
    let state = Memory::new(100);
    let quota = Quota {
        algorithm: Algorithm::FixedWindow,
        limit: 1,
        window_ms: 1,
        burst: 0,
    };
    let window = || {
        SystemTime::now()
            .duration_since(UNIX_EPOCH)
            .unwrap()
            .as_millis()
    };
    let first = window();
    let taken = taken_by_four(&state, &quota, 20_000);
    let windows = window() - first + 1;
    assert!(
        taken as u128 <= windows,
        "{taken} taken in {windows} windows of one"
    );
}

#[test]
fn values_and_limits_do_not_share_keys() {
    let state = Memory::new(100);
    let quota = Quota {
        algorithm: Algorithm::FixedWindow,
        limit: 1,
        window_ms: u32::MAX,
        burst: 0,
    };
    state.set("a", "k", Bytes::from_static(b"1"), None).unwrap();
    assert!(state.acquire("a", "k", &quota, 1).unwrap().allowed);
    assert_eq!(state.get("a", "k").unwrap().as_deref(), Some(&b"1"[..]));
    state.set("a", "k", Bytes::from_static(b"2"), None).unwrap();
    state.delete("a", "k").unwrap();
    assert!(!state.acquire("a", "k", &quota, 1).unwrap().allowed);
}

#[test]
fn an_algorithm_does_not_read_what_another_one_counted() {
    let state = Memory::new(100);
    for allowed in [true, true, false] {
        for algorithm in [
            Algorithm::FixedWindow,
            Algorithm::SlidingWindow,
            Algorithm::TokenBucket,
        ] {
            let quota = Quota {
                algorithm,
                limit: 2,
                window_ms: u32::MAX,
                burst: 0,
            };
            let decision = state.acquire("a", "k", &quota, 1).unwrap();
            assert_eq!(decision.allowed, allowed, "{algorithm:?}: {decision:?}");
        }
    }
}

#[test]
fn the_entry_used_the_longest_ago_goes_first_within_one_millisecond() {
    let mut shard = Shard {
        entries: IndexMap::with_hasher(Hasher::default()),
        uses: 0,
    };
    let keys: Vec<String> = (0..=SAMPLE).map(|number| number.to_string()).collect();
    let mut with = |key: &str, act: fn(&mut Slot<'_>)| {
        let wanted = Wanted {
            kind: Kind::Value,
            namespace: "a",
            key,
        };
        act(&mut Slot {
            shard: &mut shard,
            wanted,
            now: 0,
            most: SAMPLE,
        });
    };
    for key in &keys[..SAMPLE] {
        with(key, |slot| slot.put(Value::Bytes(Bytes::new()), None));
    }
    with("0", |slot| assert!(slot.bytes().is_some()));
    with(&keys[SAMPLE], |slot| {
        slot.put(Value::Bytes(Bytes::new()), None)
    });
    let mut left: Vec<&str> = shard.entries.keys().map(|key| &*key.key).collect();
    left.sort_unstable();
    assert_eq!(left, ["0", "2", "3", "4", "5", "6", "7", "8"]);
}

#[test]
fn the_smallest_store_still_keeps_eight_entries_a_shard() {
    let state = Memory::new(0);
    for number in 0..10_000 {
        state
            .set("a", &number.to_string(), Bytes::new(), None)
            .unwrap();
    }
    assert_eq!(state.len(), SHARDS * SAMPLE);
}

#[test]
fn the_shard_depends_on_no_bit_the_map_needs_and_is_spread_evenly() {
    for hash in [0, u64::MAX, 0x0123_4567_89ab_cdef] {
        assert_eq!(
            shard_of(hash),
            shard_of(hash ^ (0x7f << 57)),
            "the seven high bits"
        );
        assert_eq!(shard_of(hash), shard_of(hash ^ 0xffff_ffff), "the low bits");
    }
    let state = Memory::new(1_000_000);
    for number in 0..SHARDS * 100 {
        state
            .set("a", &number.to_string(), Bytes::new(), None)
            .unwrap();
    }
    let lengths: Vec<usize> = state
        .shards
        .iter()
        .map(|shard| shard.lock().entries.len())
        .collect();
    assert!(
        lengths.iter().all(|length| (40..=200).contains(length)),
        "{lengths:?}"
    );
}

#[test]
fn a_smaller_store_shrinks_by_a_few_entries_per_insertion() {
    let state = Memory::new(100_000);
    for number in 0..50_000 {
        state
            .set("a", &number.to_string(), Bytes::new(), None)
            .unwrap();
    }
    state.resize(0);
    for number in 50_000..100_000 {
        let before = state.len();
        state
            .set("a", &number.to_string(), Bytes::new(), None)
            .unwrap();
        assert!(
            before - state.len().min(before) < EVICTIONS,
            "{before} to {}",
            state.len()
        );
    }
    assert_eq!(state.len(), SHARDS * SAMPLE);
}

#[test]
fn two_windows_of_one_key_are_counted_apart() {
    let state = Memory::new(1_000);
    let quota = |limit, window_ms| Quota {
        algorithm: Algorithm::FixedWindow,
        limit,
        window_ms,
        burst: 0,
    };
    let (short, long) = (quota(1, u32::MAX - 1), quota(2, u32::MAX));
    let take = |quota: &Quota| state.acquire("a", "k", quota, 1).unwrap().allowed;
    assert!(take(&short) && !take(&short));
    assert!(take(&long) && take(&long) && !take(&long));
}
