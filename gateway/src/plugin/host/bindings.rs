//! The WIT package in Rust.

#![allow(
    missing_docs,
    unreachable_pub,
    missing_debug_implementations,
    reason = "generated from wit/plugin.wit"
)]

// The world `plugin` without `edits`, which is bound by hand.
wasmtime::component::bindgen!({
    path: "../wit",
    inline: "
        package gateway:host;
        world host {
            import gateway:plugin/exchange@0.2.0;
            import gateway:plugin/upstream@0.2.0;
            import gateway:plugin/state@0.2.0;
            import gateway:plugin/limiter@0.2.0;
            import gateway:plugin/telemetry@0.2.0;
            import gateway:plugin/secrets@0.2.0;
            export gateway:plugin/filter@0.2.0;
        }
    ",
    world: "gateway:host/host",
    imports: {
        "gateway:plugin/upstream": async | trappable,
        default: trappable,
    },
    exports: { default: async },
});
