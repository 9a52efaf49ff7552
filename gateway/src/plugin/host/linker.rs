//! Resolves the imports of a component.

use wasmtime::component::{Component, HasSelf, InstancePre, Linker};

use super::bindings::gateway::plugin;
use super::guest::Guest;
use super::{edits, wasi};

/// A component with its imports resolved.
pub(in crate::plugin) struct Resolved {
    pub(in crate::plugin) pre: InstancePre<Guest>,
    /// Whether it imports something that waits, so that every call of it needs a fibre.
    pub(in crate::plugin) waits: bool,
}

/// Resolves the imports of a component: without anything that waits, if that is enough for it.
pub(in crate::plugin) fn resolve(
    engine: &wasmtime::Engine,
    component: &Component,
) -> wasmtime::Result<Resolved> {
    let mut linker = Linker::new(engine);
    wasi::add_to_linker(&mut linker)?;
    add_interfaces(&mut linker)?;
    if let Ok(pre) = linker.instantiate_pre(component) {
        return Ok(Resolved { pre, waits: false });
    }
    let mut linker = Linker::new(engine);
    wasmtime_wasi::p2::add_to_linker_async(&mut linker)?;
    add_interfaces(&mut linker)?;
    plugin::upstream::add_to_linker::<_, HasSelf<Guest>>(&mut linker, |guest| guest)?;
    let pre = linker.instantiate_pre(component)?;
    Ok(Resolved { pre, waits: true })
}

/// The gateway's interfaces that never wait.
fn add_interfaces(linker: &mut Linker<Guest>) -> wasmtime::Result<()> {
    edits::add_to_linker(linker)?;
    plugin::exchange::add_to_linker::<_, HasSelf<Guest>>(linker, |guest| guest)?;
    plugin::types::add_to_linker::<_, HasSelf<Guest>>(linker, |guest| guest)?;
    plugin::state::add_to_linker::<_, HasSelf<Guest>>(linker, |guest| guest)?;
    plugin::limiter::add_to_linker::<_, HasSelf<Guest>>(linker, |guest| guest)?;
    plugin::telemetry::add_to_linker::<_, HasSelf<Guest>>(linker, |guest| guest)?;
    plugin::secrets::add_to_linker::<_, HasSelf<Guest>>(linker, |guest| guest)
}
