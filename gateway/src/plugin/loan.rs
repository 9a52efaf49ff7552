//! An exchange in the hands of an instance, for one call.

use super::instance::Instance;
use crate::exchange::Exchange;

/// Lends an exchange to an instance's store. Its owner has it back when this is dropped: after the call, or where a
/// call is dropped in the middle, with the client that waited for it.
pub(super) struct Loan<'a> {
    pub(super) instance: &'a mut Instance,
    owner: &'a mut Exchange,
}

impl<'a> Loan<'a> {
    pub(super) fn new(instance: &'a mut Instance, owner: &'a mut Exchange) -> Self {
        instance.guest().exchange = owner.lend();
        Self { instance, owner }
    }
}

impl Drop for Loan<'_> {
    fn drop(&mut self) {
        let lent = self.instance.guest().exchange.lend();
        self.owner.restore(lent);
    }
}
