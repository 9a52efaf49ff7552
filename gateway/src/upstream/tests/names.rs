//! Endpoints by name, whose addresses are others all the time.

use std::net::{IpAddr, Ipv4Addr};

use super::*;
use crate::config::Named;

#[test]
fn of_a_thousand_addresses_that_a_name_had_one_after_the_other_none_is_kept_that_is_gone() {
    let name = Named {
        host: "a.test".into(),
        port: 80,
        refresh: None,
        weight: 1,
        backup: false,
    };
    let config = config::Upstream {
        names: vec![name],
        ..configured("test", &[])
    };
    let upstream = registered(&Registry::default(), &config, &Metrics::new(1));
    let followed = upstream.followed().unwrap();
    let client = Arc::new(Client::default());
    let mut under_way = None;
    for round in 0..1000 {
        let address = Ipv4Addr::from_bits(0x0a00_0000 + round);
        let learnt = Learnt::V4(vec![IpAddr::V4(address)]);
        assert_eq!(followed.learn(0, learnt).left_out, 0);
        // Its request outlasts the next address.
        let picked = upstream.pick(&client, None, &Tried::default());
        let before = under_way.replace(picked.unwrap());
        drop(before);
        // The one that is there, the one before, and what that one's request left until the next address.
        let known = followed.endpoints().known();
        assert!(known <= 3, "{known} in round {round}");
        upstream.members(|members| {
            let slot = members.all()[0].endpoint.slot();
            assert!(slot < 3, "{slot} in round {round}");
        });
    }
}
