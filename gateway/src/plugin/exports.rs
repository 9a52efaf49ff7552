//! What a component exports: its `filter` interface, found once when it is loaded and typed when an instance first
//! needs a function of it.

use wasmtime::component::{
    Component, ComponentExportIndex, ComponentNamedList, Instance, Lift, Lower, ResourceAny,
    TypedFunc,
};
use wasmtime::{AsContextMut, StoreContextMut};

use super::grants::VERSION;
use super::host::bindings::exports::gateway::plugin::filter as wit;

/// `on-request` and `on-response`.
pub(super) type PhaseFn = TypedFunc<(ResourceAny,), (Result<wit::Flow, String>,)>;
/// `on-complete`.
pub(super) type CompleteFn = TypedFunc<(ResourceAny,), ()>;
/// `request-stream` and `response-stream`.
pub(super) type StreamFn = TypedFunc<(ResourceAny,), (Result<ResourceAny, String>,)>;
/// `chunk` of a stream.
pub(super) type ChunkFn<'a> = TypedFunc<(ResourceAny, &'a [u8]), (Result<Vec<u8>, String>,)>;
/// `end` of a stream.
pub(super) type EndFn<'a> =
    TypedFunc<(ResourceAny, &'a [wit::Header]), (Result<wit::Ending, String>,)>;
/// `configure`.
pub(super) type ConfigureFn<'a> =
    TypedFunc<(&'a str,), (Result<ResourceAny, Vec<wit::ConfigError>>,)>;
/// `wants`.
pub(super) type WantsFn = TypedFunc<(ResourceAny,), (wit::Wants,)>;
/// `describe`.
pub(super) type DescribeFn = TypedFunc<(), (wit::Metadata,)>;

/// Where the functions are in a component.
pub(super) struct Exports {
    pub(super) describe: ComponentExportIndex,
    pub(super) configure: ComponentExportIndex,
    pub(super) wants: ComponentExportIndex,
    pub(super) on_request: ComponentExportIndex,
    pub(super) on_response: ComponentExportIndex,
    /// `request-stream` and `response-stream`.
    pub(super) streams: [ComponentExportIndex; 2],
    pub(super) chunk: ComponentExportIndex,
    pub(super) end: ComponentExportIndex,
    pub(super) on_complete: ComponentExportIndex,
}

impl Exports {
    /// Finds them.
    pub(super) fn find(component: &Component) -> wasmtime::Result<Self> {
        let interface = format!("gateway:plugin/filter@{VERSION}");
        let filter = component
            .get_export_index(None, &interface)
            .ok_or_else(|| missing(&interface))?;
        let find = |name: &str| {
            component
                .get_export_index(Some(&filter), name)
                .ok_or_else(|| missing(name))
        };
        Ok(Self {
            describe: find("describe")?,
            configure: find("[static]configured.configure")?,
            wants: find("[method]configured.wants")?,
            on_request: find("[method]configured.on-request")?,
            on_response: find("[method]configured.on-response")?,
            streams: [
                find("[method]configured.request-stream")?,
                find("[method]configured.response-stream")?,
            ],
            chunk: find("[method]body-stream.chunk")?,
            end: find("[method]body-stream.end")?,
            on_complete: find("[method]configured.on-complete")?,
        })
    }

    /// Compares the types of all of them with the contract's.
    pub(super) fn check<T>(
        &self,
        instance: Instance,
        store: &mut StoreContextMut<'_, T>,
    ) -> wasmtime::Result<()> {
        let _: DescribeFn = typed(instance, &mut *store, self.describe)?;
        let _: ConfigureFn<'_> = typed(instance, &mut *store, self.configure)?;
        let _: WantsFn = typed(instance, &mut *store, self.wants)?;
        let _: PhaseFn = typed(instance, &mut *store, self.on_request)?;
        let _: PhaseFn = typed(instance, &mut *store, self.on_response)?;
        for stream in self.streams {
            let _: StreamFn = typed(instance, &mut *store, stream)?;
        }
        let _: ChunkFn<'_> = typed(instance, &mut *store, self.chunk)?;
        let _: EndFn<'_> = typed(instance, &mut *store, self.end)?;
        let _: CompleteFn = typed(instance, &mut *store, self.on_complete)?;
        Ok(())
    }
}

/// One function of an instance.
pub(super) fn typed<P, R>(
    instance: Instance,
    store: impl AsContextMut,
    index: ComponentExportIndex,
) -> wasmtime::Result<TypedFunc<P, R>>
where
    P: ComponentNamedList + Lower,
    R: ComponentNamedList + Lift,
{
    instance.get_typed_func(store, index)
}

fn missing(name: &str) -> wasmtime::Error {
    wasmtime::Error::msg(format!("it does not export `{name}`"))
}
