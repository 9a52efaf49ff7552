//! A body on its way through a plugin, in memory.

use std::fmt;
use std::rc::Rc;

use super::exchange::Exchange;
use crate::host::memory::scene::Scene;
use crate::host::memory::world::World;
use crate::{Ending, Request, Result, Stream, Trailers, host};

/// A body on its way through a plugin. Dropped before its [end](Self::end), it broke off, as when a client leaves: the
/// gateway throws the instance away then, and what a plugin kept of the body must have no other place.
pub struct Passing<'a> {
    pub(super) stream: Box<dyn Stream>,
    /// The exchange, if the plugin sees it meanwhile.
    pub(super) seen: Option<&'a Exchange>,
    pub(super) world: &'a Rc<World>,
}

impl Passing<'_> {
    /// Passes a chunk through the plugin.
    ///
    /// # Errors
    /// The plugin's own failure.
    pub fn chunk(&mut self, chunk: impl Into<Vec<u8>>) -> Result<Vec<u8>> {
        let scene = self.scene();
        host::enter(scene, || {
            self.stream.chunk(&Request::in_hand(), chunk.into())
        })
    }

    /// Ends the body, without trailers.
    ///
    /// # Errors
    /// The plugin's own failure.
    pub fn end(self) -> Result<Ending> {
        self.end_with(Trailers::new())
    }

    /// Ends the body.
    ///
    /// # Errors
    /// The plugin's own failure.
    pub fn end_with(mut self, trailers: Trailers) -> Result<Ending> {
        let scene = self.scene();
        host::enter(scene, || self.stream.end(&Request::in_hand(), trailers))
    }

    fn scene(&self) -> Scene {
        Scene {
            world: Rc::clone(self.world),
            exchange: self.seen.map(|exchange| Rc::clone(&exchange.facts)),
        }
    }
}

impl fmt::Debug for Passing<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Passing").finish_non_exhaustive()
    }
}
