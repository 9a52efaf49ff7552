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
/// `on-request-chunk` and `on-response-chunk`.
pub(super) type ChunkFn<'a> = TypedFunc<(ResourceAny, &'a [u8], bool), (Result<Vec<u8>, String>,)>;
/// `configure`.
pub(super) type ConfigureFn<'a> =
    TypedFunc<(&'a str,), (Result<ResourceAny, Vec<wit::ConfigError>>,)>;
/// `phases`.
pub(super) type PhasesFn = TypedFunc<(ResourceAny,), (wit::Phases,)>;
/// `describe`.
pub(super) type DescribeFn = TypedFunc<(), (wit::Metadata,)>;

/// Where the functions are in a component.
pub(super) struct Exports {
    pub(super) describe: ComponentExportIndex,
    pub(super) configure: ComponentExportIndex,
    pub(super) phases: ComponentExportIndex,
    pub(super) on_request: ComponentExportIndex,
    pub(super) on_response: ComponentExportIndex,
    pub(super) on_request_chunk: ComponentExportIndex,
    pub(super) on_response_chunk: ComponentExportIndex,
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
            phases: find("[method]configured.phases")?,
            on_request: find("[method]configured.on-request")?,
            on_response: find("[method]configured.on-response")?,
            on_request_chunk: find("[method]configured.on-request-chunk")?,
            on_response_chunk: find("[method]configured.on-response-chunk")?,
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
        let _: PhasesFn = typed(instance, &mut *store, self.phases)?;
        let _: PhaseFn = typed(instance, &mut *store, self.on_request)?;
        let _: PhaseFn = typed(instance, &mut *store, self.on_response)?;
        let _: ChunkFn<'_> = typed(instance, &mut *store, self.on_request_chunk)?;
        let _: ChunkFn<'_> = typed(instance, &mut *store, self.on_response_chunk)?;
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
