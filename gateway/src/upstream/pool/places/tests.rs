//! The line of those who wait for a place.

use super::*;
use crate::telemetry::metrics::Metrics;

fn places(most: usize) -> Arc<Places> {
    Places::new(most, Metrics::new(1).upstream("a"))
}

fn enter(places: &Arc<Places>, endpoint: usize) -> Waiting {
    let way = Way {
        endpoint,
        client: 0,
        tls: 0,
    };
    places.enter(way, 100)
}

/// The endpoints of those who are next as connections to this one come to rest.
fn next(places: &Places, endpoint: usize, count: usize) -> Vec<usize> {
    let next = || Some(places.next(Some(endpoint))?.way.endpoint);
    std::iter::from_fn(next).take(count).collect()
}

#[test]
fn a_connection_goes_to_the_first_for_its_endpoint_and_nobody_is_passed_over_for_ever() {
    let places = places(1);
    let _line: Vec<_> = [1, 2, 1, 2]
        .into_iter()
        .chain([2; 40])
        .map(|endpoint| enter(&places, endpoint))
        .collect();
    assert_eq!(next(&places, 1, 1), [1]);
    let mut expected = vec![2; 1 + usize::from(PASSED)];
    expected.extend([1, 2, 2]);
    assert_eq!(next(&places, 2, expected.len()), expected);
}

#[test]
fn a_place_is_given_in_the_order_of_the_line_and_taken_by_nobody_else_meanwhile() {
    let places = places(1);
    let open = places.take().unwrap();
    let mut line: Vec<_> = (0..3).map(|_| enter(&places, 1)).collect();
    drop(line.remove(1));
    drop(open);
    assert!(places.take().is_none());
    for mut waiting in line {
        // What nobody takes goes on to the next.
        assert!(matches!(waiting.offer.try_recv(), Ok(Offer::Place(_))));
    }
    assert!(places.take().is_some());
    assert!(!places.is_awaited());
}

#[test]
fn an_offer_that_comes_as_its_taker_leaves_goes_on_to_the_next() {
    let places = places(1);
    let open = places.take().unwrap();
    let (first, mut second) = (enter(&places, 1), enter(&places, 1));
    drop(open);
    drop(first);
    assert!(matches!(second.offer.try_recv(), Ok(Offer::Place(_))));
}

#[test]
fn a_lower_limit_counts_what_is_open_and_a_higher_one_serves_who_waits() {
    let places = places(2);
    let (first, second) = (places.take().unwrap(), places.take().unwrap());
    places.limit(1);
    assert!(first.is_over());
    drop(first);
    assert!(!second.is_over());
    assert!(places.take().is_none());
    let mut waiting = enter(&places, 1);
    places.limit(2);
    assert!(matches!(waiting.offer.try_recv(), Ok(Offer::Place(_))));
}
