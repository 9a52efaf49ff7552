//! Which endpoints can be picked at all, and what is said where none can.

use super::balance::{Spec, port, ports, spread};
use super::*;

#[test]
fn each_endpoint_has_its_turn_and_none_that_was_tried() {
    let client = Client::default();
    let upstream = upstream(&["[::1]:1", "[::1]:2", "[::1]:3"]);
    let mut tried = Tried::default();
    assert_eq!(ports(&upstream, &client, 4), [1, 2, 3, 1]);
    for next in [2, 3, 1] {
        let picked = upstream.pick(&client, None, &tried).unwrap();
        assert_eq!(port(&picked), next);
        tried.add(&picked);
    }
    assert!(upstream.pick(&client, None, &tried).is_none());
}

#[test]
fn a_request_is_in_flight_until_it_is_over() {
    let (client, upstream) = (Client::default(), upstream(&["[::1]:1"]));
    let picked = upstream.pick(&client, None, &Tried::default());
    assert_eq!(first(&upstream).in_flight.sum(), 1);
    drop(picked);
    assert_eq!(first(&upstream).in_flight.sum(), 0);
}

#[test]
fn an_endpoint_that_takes_no_requests_is_left_out_by_every_balance() {
    for balance in balance::all() {
        let upstream = spread(balance.clone(), &[(1, 1), (2, 5), (3, 1)]);
        let client = Client::default();
        endpoint(&upstream, 1)
            .standing
            .block(Obstacle::Unhealthy, "no answer");
        for key in 0..200 {
            let picked = upstream.pick(&client, Some(key), &Tried::default());
            assert_ne!(port(&picked.unwrap()), 2, "{balance:?}");
        }
        endpoint(&upstream, 1).standing.clear(Obstacle::Unhealthy);
        let keys = 0..200;
        let mut again = keys.map(|key| {
            let picked = upstream.pick(&client, Some(key), &Tried::default());
            port(&picked.unwrap())
        });
        assert!(again.any(|port| port == 2), "{balance:?}");
    }
}

#[test]
fn a_backup_is_picked_only_while_no_other_endpoint_is_clear_and_untried() {
    for balance in balance::all() {
        let specs = [1, 2, 3, 4].map(|port| Spec {
            backup: port > 2,
            ..Spec::of(port)
        });
        let upstream = balance::specified(balance.clone(), None, &specs);
        let client = Client::default();
        let picked = |tried: &Tried| {
            let keys = 0..100;
            let mut ports: Vec<_> = keys
                .map(|key| port(&upstream.pick(&client, Some(key * 77), tried).unwrap()))
                .collect();
            ports.sort_unstable();
            ports.dedup();
            ports
        };
        assert_eq!(picked(&Tried::default()), [1, 2], "{balance:?}");
        endpoint(&upstream, 0)
            .standing
            .block(Obstacle::Ejected, "5 failures");
        assert_eq!(picked(&Tried::default()), [2], "{balance:?}");
        let mut tried = Tried::default();
        tried.add(&upstream.pick(&client, Some(0), &tried).unwrap());
        assert_eq!(picked(&tried), [3, 4], "{balance:?}");
        endpoint(&upstream, 2)
            .standing
            .block(Obstacle::Drained, "by an operator");
        assert_eq!(picked(&tried), [4], "{balance:?}");
        endpoint(&upstream, 0).standing.clear(Obstacle::Ejected);
        assert_eq!(picked(&tried), [1], "{balance:?}");
    }
}

#[test]
fn where_no_endpoint_takes_requests_the_failure_says_why_and_is_counted() {
    let client = Client::default();
    let one = upstream(&["[::1]:1"]);
    first(&one)
        .standing
        .block(Obstacle::Drained, "by an operator");
    assert!(one.pick(&client, None, &Tried::default()).is_none());
    let refused = one.refuse();
    assert_eq!(refused.kind, crate::message::error::ErrorKind::NoEndpoint);
    assert_eq!(
        refused.why,
        "the one endpoint takes no requests: it is drained"
    );
    let four = spread(Balance::RoundRobin, &[(1, 1), (2, 1), (3, 1), (4, 1)]);
    for (at, obstacle) in [
        (0, Obstacle::Unhealthy),
        (1, Obstacle::Drained),
        (2, Obstacle::Ejected),
        (3, Obstacle::Unhealthy),
    ] {
        endpoint(&four, at).standing.block(obstacle, "");
    }
    assert!(
        four.pick_another(&client, None, &mut Tried::default())
            .is_none()
    );
    assert_eq!(
        four.refuse().why,
        "none of the 4 endpoints takes requests: 2 unhealthy, 1 drained, 1 ejected"
    );
}
