//! The functions of one instance: typed when they are first called, and called on this stack or on a fibre.

use std::sync::Arc;

use bytes::Bytes;
use wasmtime::component::{
    ComponentExportIndex, ComponentNamedList, Instance, Lift, Lower, ResourceAny, TypedFunc,
};
use wasmtime::{AsContextMut, Store};

use super::exports::{ChunkFn, CompleteFn, EndFn, Exports, PhaseFn, StreamFn, typed};
use super::failure::{Failure, FailureKind, Stop};
use super::host::Guest;
use super::host::bindings::exports::gateway::plugin::filter as wit;
use crate::message::phase::Direction;

/// A call of a phase.
pub(super) enum Call {
    Request,
    Response,
    /// A body of this direction begins.
    Stream(Direction),
    Chunk(ResourceAny, Bytes),
    /// The end of a body, after which there is no stream any more.
    End(ResourceAny, Vec<wit::Header>),
    Complete,
}

impl Call {
    /// Bytes that it hands over itself.
    pub(super) fn brings(&self) -> usize {
        match self {
            Self::Chunk(_, chunk) => chunk.len(),
            _ => 0,
        }
    }
}

/// What a phase returned. `Err` is the plugin's own.
pub(super) enum Returned {
    Flow(Result<wit::Flow, String>),
    Stream(Result<ResourceAny, String>),
    Chunk(Result<Vec<u8>, String>),
    Ending(Result<wit::Ending, String>),
    Done,
}

/// The plugin's own error is a failure like any other, but its instance lives on.
pub(super) fn refused(returned: Returned) -> Result<Returned, Failure> {
    match returned {
        Returned::Flow(Err(message))
        | Returned::Stream(Err(message))
        | Returned::Chunk(Err(message))
        | Returned::Ending(Err(message)) => Err(Failure::returned(message)),
        returned => Ok(returned),
    }
}

/// An answer whose body is as large as one that is set may be; a larger one is a failure.
pub(super) fn bounded(returned: Returned, limit: usize) -> Result<Returned, Failure> {
    if let Returned::Flow(Ok(wit::Flow::Respond(answer))) = &returned
        && answer.body.len() > limit
    {
        let stop = Stop::Body(Direction::Response, answer.body.len(), limit);
        return Err(Failure::new(
            FailureKind::Grown(Direction::Response),
            stop.to_string(),
        ));
    }
    Ok(returned)
}

/// The functions that an instance exports.
pub(super) struct Functions {
    instance: Instance,
    pub(super) exports: Arc<Exports>,
    /// Typed at their first call, since most plugins have one or two of them.
    on_request: Option<PhaseFn>,
    on_response: Option<PhaseFn>,
    on_complete: Option<CompleteFn>,
}

impl Functions {
    pub(super) fn new(instance: Instance, exports: Arc<Exports>) -> Self {
        Self {
            instance,
            exports,
            on_request: None,
            on_response: None,
            on_complete: None,
        }
    }

    /// Compares the types of all of them with the contract's.
    pub(super) fn check(&self, store: &mut Store<Guest>) -> wasmtime::Result<()> {
        let store = &mut store.as_context_mut();
        self.exports.check(self.instance, store)
    }

    /// One of them.
    pub(super) fn typed<P, R>(
        &self,
        store: &mut Store<Guest>,
        index: ComponentExportIndex,
    ) -> wasmtime::Result<TypedFunc<P, R>>
    where
        P: ComponentNamedList + Lower,
        R: ComponentNamedList + Lift,
    {
        typed(self.instance, store, index)
    }

    /// Calls a phase on this stack: nothing that the component imports can wait.
    pub(super) fn call(
        &mut self,
        store: &mut Store<Guest>,
        resource: ResourceAny,
        call: &Call,
    ) -> wasmtime::Result<Returned> {
        match call {
            Call::Request => {
                let function = self.on_request(&mut *store)?;
                let (flow,) = function.call(&mut *store, (resource,))?;
                Ok(Returned::Flow(flow))
            }
            Call::Response => {
                let function = self.on_response(&mut *store)?;
                let (flow,) = function.call(&mut *store, (resource,))?;
                Ok(Returned::Flow(flow))
            }
            Call::Stream(direction) => {
                let function = self.stream(&mut *store, *direction)?;
                let (stream,) = function.call(&mut *store, (resource,))?;
                Ok(Returned::Stream(stream))
            }
            Call::Chunk(stream, chunk) => {
                let function: ChunkFn<'_> = self.typed(&mut *store, self.exports.chunk)?;
                let (chunk,) = function.call(&mut *store, (*stream, &chunk[..]))?;
                Ok(Returned::Chunk(chunk))
            }
            Call::End(stream, trailers) => {
                let function: EndFn<'_> = self.typed(&mut *store, self.exports.end)?;
                let (ending,) = function.call(&mut *store, (*stream, &trailers[..]))?;
                stream.resource_drop(&mut *store)?;
                Ok(Returned::Ending(ending))
            }
            Call::Complete => {
                let function = self.on_complete(&mut *store)?;
                function.call(&mut *store, (resource,))?;
                Ok(Returned::Done)
            }
        }
    }

    /// Calls a phase on a fibre, which the guest leaves when it waits and at every tick.
    pub(super) async fn call_async(
        &mut self,
        store: &mut Store<Guest>,
        resource: ResourceAny,
        call: Call,
    ) -> wasmtime::Result<Returned> {
        match call {
            Call::Request => {
                let function = self.on_request(&mut *store)?;
                let (flow,) = function.call_async(&mut *store, (resource,)).await?;
                Ok(Returned::Flow(flow))
            }
            Call::Response => {
                let function = self.on_response(&mut *store)?;
                let (flow,) = function.call_async(&mut *store, (resource,)).await?;
                Ok(Returned::Flow(flow))
            }
            Call::Stream(direction) => {
                let function = self.stream(&mut *store, direction)?;
                let (stream,) = function.call_async(&mut *store, (resource,)).await?;
                Ok(Returned::Stream(stream))
            }
            Call::Chunk(stream, chunk) => {
                let function: ChunkFn<'_> = self.typed(&mut *store, self.exports.chunk)?;
                let called = function.call_async(&mut *store, (stream, &chunk[..]));
                Ok(Returned::Chunk(called.await?.0))
            }
            Call::End(stream, trailers) => {
                let function: EndFn<'_> = self.typed(&mut *store, self.exports.end)?;
                let called = function.call_async(&mut *store, (stream, &trailers[..]));
                let (ending,) = called.await?;
                stream.resource_drop_async(&mut *store).await?;
                Ok(Returned::Ending(ending))
            }
            Call::Complete => {
                let function = self.on_complete(&mut *store)?;
                function.call_async(&mut *store, (resource,)).await?;
                Ok(Returned::Done)
            }
        }
    }

    fn stream(&self, store: &mut Store<Guest>, direction: Direction) -> wasmtime::Result<StreamFn> {
        self.typed(store, self.exports.streams[direction as usize])
    }

    fn on_request(&mut self, store: &mut Store<Guest>) -> wasmtime::Result<PhaseFn> {
        if let Some(function) = self.on_request {
            return Ok(function);
        }
        let function = self.typed(store, self.exports.on_request)?;
        Ok(*self.on_request.insert(function))
    }

    fn on_response(&mut self, store: &mut Store<Guest>) -> wasmtime::Result<PhaseFn> {
        if let Some(function) = self.on_response {
            return Ok(function);
        }
        let function = self.typed(store, self.exports.on_response)?;
        Ok(*self.on_response.insert(function))
    }

    fn on_complete(&mut self, store: &mut Store<Guest>) -> wasmtime::Result<CompleteFn> {
        if let Some(function) = self.on_complete {
            return Ok(function);
        }
        let function = self.typed(store, self.exports.on_complete)?;
        Ok(*self.on_complete.insert(function))
    }
}
