//! An upstream comes into force in the place of another, or of none.

use std::sync::Arc;
use std::time::SystemTime;

use super::Upstream;
use crate::message::target::Target;
use crate::upstream::endpoint::{Endpoint, Member, list};

impl Upstream {
    /// It is in force from now on, in the place of the one of its name that was before: what that alone has keeps no
    /// connections.
    pub fn take_over(&self, previous: Option<&Self>) {
        self.keep_drains();
        if let Some(previous) = previous {
            previous.leave_but(|endpoint| self.has(endpoint));
        }
        // The DNS may have brought one back meanwhile.
        self.come_back();
    }

    /// It is not in force any more, and none of its name is.
    pub fn retire(&self) {
        self.state.drains.forget();
        self.leave_but(|_| false);
    }

    /// Its endpoints are those that are cared for, whatever another of its name did since it was made. For as long as
    /// nobody follows its names.
    pub fn own_endpoints(&self) {
        self.members(|members| {
            list(members.all().iter().map(|member| &member.endpoint));
        });
        self.come_back();
    }

    fn come_back(&self) {
        self.members(|members| {
            let all = members.all().iter();
            all.for_each(|member| member.endpoint.come_back());
        });
    }

    /// Takes the address of an endpoint out. Whether it was in before.
    pub fn drain(&self, member: &Member) -> bool {
        let endpoint = &member.endpoint;
        let (target, name) = (&endpoint.target, endpoint.name.clone());
        self.state.drains.add(target, name, &endpoint.standing)
    }

    /// Takes an address back in, one that no name has at present too. Whether it was out before.
    pub fn restore(&self, address: &Target) -> bool {
        self.members(|members| {
            let mut endpoints = members.all().iter().map(|member| &member.endpoint);
            let found = endpoints.find(|endpoint| endpoint.target == *address);
            let standing = found.map(|endpoint| &endpoint.standing);
            self.state.drains.end(address, standing)
        })
    }

    /// The addresses that an operator took out, and since when; those too that no name has at present.
    pub fn drained(&self) -> Vec<(Target, SystemTime)> {
        self.state.drains.all()
    }

    fn keep_drains(&self) {
        self.members(|members| {
            let endpoints = members.all().iter().map(|member| &member.endpoint);
            let present = endpoints.map(|it| (&it.target, it.name.clone()));
            self.state
                .drains
                .keep(&self.config.names, &present.collect());
        });
    }

    fn has(&self, endpoint: &Arc<Endpoint>) -> bool {
        self.members(|members| {
            let mut all = members.all().iter();
            all.any(|member| Arc::ptr_eq(&member.endpoint, endpoint))
        })
    }

    fn leave_but(&self, stays: impl Fn(&Arc<Endpoint>) -> bool) {
        self.members(|members| {
            let gone = members.all().iter().filter(|it| !stays(&it.endpoint));
            gone.for_each(|member| member.endpoint.leave());
        });
    }
}
