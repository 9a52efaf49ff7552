//! The seam between the SDK and the gateway: inside the sandbox the imports of the component, one call each, and
//! elsewhere the exchange in memory that [`test`](crate::test) sets up.

#[cfg(target_arch = "wasm32")]
mod component;
#[cfg(not(target_arch = "wasm32"))]
pub(crate) mod memory;

#[cfg(target_arch = "wasm32")]
pub(crate) use component::*;
#[cfg(not(target_arch = "wasm32"))]
pub(crate) use memory::*;

/// What wit-bindgen makes of `wit/plugin.wit`.
#[cfg(target_arch = "wasm32")]
#[allow(
    unsafe_code,
    missing_docs,
    missing_debug_implementations,
    unreachable_pub,
    clippy::all,
    clippy::allow_attributes_without_reason,
    reason = "generated: the canonical ABI reads and writes linear memory"
)]
pub mod bindings {
    wit_bindgen::generate!({
        path: "../wit",
        world: "plugin",
        ownership: Borrowing { duplicate_if_necessary: false },
        pub_export_macro: true,
        export_macro_name: "__export_world",
        default_bindings_module: "gateway_plugin_sdk::__private::bindings",
    });
}
