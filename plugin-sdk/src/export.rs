//! What [`export!`](crate::export) makes of a plugin: the component's `filter` interface.

/// Exports a [`Plugin`](crate::Plugin) as the component's filter. Name, version and description are those of the
/// crate that calls it. On any other target than WebAssembly it generates nothing.
#[macro_export]
macro_rules! export {
    ($plugin:ty) => {
        #[cfg(target_arch = "wasm32")]
        const _: () = {
            impl $crate::__private::Identity for $plugin {
                const NAME: &'static str = ::core::env!("CARGO_PKG_NAME");
                const VERSION: &'static str = ::core::env!("CARGO_PKG_VERSION");
                const DESCRIPTION: &'static str = ::core::env!("CARGO_PKG_DESCRIPTION");
            }
            type Exported = $crate::__private::Component<$plugin>;
    $crate::__private::bindings::__export_world!(Exported with_types_in $crate::__private::bindings);
        };
        #[cfg(not(target_arch = "wasm32"))]
        const _: fn() = || {
            fn exported<P: $crate::Plugin>() {}
            exported::<$plugin>();
        };
    };
}

#[cfg(target_arch = "wasm32")]
pub use component::{Component, Identity};

#[cfg(target_arch = "wasm32")]
mod component {
    use std::cell::RefCell;
    use std::fmt;
    use std::marker::PhantomData;
    use std::sync::Once;

    use crate::host::bindings::exports::gateway::plugin::filter::{
        BodyStream, ConfigError, Configured, Ending, Flow, Guest, GuestBodyStream, GuestConfigured,
        Header, Metadata, Wants,
    };
    use crate::host::bindings::gateway::plugin::types;
    use crate::{Error, Level, Plugin, Request, Response, Stream, config, host};

    /// Who a plugin is; implemented by `export!`.
    pub trait Identity: Plugin {
        /// The name of its crate.
        const NAME: &'static str;
        /// The version of its crate.
        const VERSION: &'static str;
        /// The description of its crate.
        const DESCRIPTION: &'static str;
    }

    /// The component of a plugin.
    #[derive(Debug)]
    pub struct Component<P>(PhantomData<P>);

    /// A plugin as the resource `configured`.
    #[derive(Debug)]
    pub struct Filter<P>(P);

    /// A body as the resource `body-stream`. Its calls do not overlap.
    pub struct Passing(RefCell<Box<dyn Stream>>);

    impl fmt::Debug for Passing {
        fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.debug_struct("Passing").finish_non_exhaustive()
        }
    }

    impl<P: Identity> Guest for Component<P> {
        type Configured = Filter<P>;
        type BodyStream = Passing;

        fn describe() -> Metadata {
            report_panics();
            let schema = schemars::schema_for!(P::Config);
            Metadata {
                name: P::NAME.to_owned(),
                version: P::VERSION.to_owned(),
                description: P::DESCRIPTION.to_owned(),
                config_schema: schema.as_value().to_string(),
            }
        }
    }

    impl<P: Identity> GuestConfigured for Filter<P> {
        fn configure(config: String) -> Result<Configured, Vec<ConfigError>> {
            report_panics();
            config::parse(&config)
                .and_then(P::configure)
                .map(|plugin| Configured::new(Self(plugin)))
                .map_err(|faults| {
                    faults
                        .into_iter()
                        .map(|f| ConfigError {
                            key: f.key,
                            message: f.message,
                        })
                        .collect()
                })
        }

        fn wants(&self) -> Wants {
            host::wants(self.0.wants())
        }

        fn on_request(&self) -> Result<Flow, String> {
            self.0
                .on_request(&mut Request::in_hand())
                .map(flow)
                .map_err(message)
        }

        fn on_response(&self) -> Result<Flow, String> {
            self.0
                .on_response(&Request::in_hand(), &mut Response::in_hand())
                .map(flow)
                .map_err(message)
        }

        fn request_stream(&self) -> Result<BodyStream, String> {
            self.0
                .request_stream(&Request::in_hand())
                .map(passing)
                .map_err(message)
        }

        fn response_stream(&self) -> Result<BodyStream, String> {
            self.0
                .response_stream(&Request::in_hand(), &Response::in_hand())
                .map(passing)
                .map_err(message)
        }

        fn on_complete(&self) {
            let response = host::status().map(|_| Response::in_hand());
            self.0.on_complete(&Request::in_hand(), response.as_ref());
        }
    }

    impl GuestBodyStream for Passing {
        fn chunk(&self, chunk: Vec<u8>) -> Result<Vec<u8>, String> {
            self.0
                .borrow_mut()
                .chunk(&Request::in_hand(), chunk)
                .map_err(message)
        }

        fn end(&self, trailers: Vec<Header>) -> Result<Ending, String> {
            let trailers = trailers.into_iter().map(|field| (field.name, field.value));
            let ending = self
                .0
                .borrow_mut()
                .end(&Request::in_hand(), trailers.collect())
                .map_err(message)?;
            Ok(Ending {
                chunk: ending.chunk,
                trailers: host::fields(ending.trailers),
            })
        }
    }

    fn passing(stream: Box<dyn Stream>) -> BodyStream {
        BodyStream::new(Passing(RefCell::new(stream)))
    }

    fn flow(flow: crate::Flow) -> Flow {
        match flow {
            crate::Flow::Next => Flow::Next,
            crate::Flow::Respond(answer) => Flow::Respond(types::Response {
                status: answer.status,
                headers: host::fields(answer.headers),
                body: answer.body,
            }),
        }
    }

    /// The failure and what is behind it, in one line.
    #[expect(
        clippy::needless_pass_by_value,
        reason = "it is the function that map_err takes"
    )]
    fn message(error: Error) -> String {
        let mut text = error.to_string();
        let mut cause = error.source();
        while let Some(error) = cause {
            text.push_str(": ");
            text.push_str(&error.to_string());
            cause = error.source();
        }
        text
    }

    /// A panic is a trap, and a trap says nothing: message and place go to the gateway's log before it.
    fn report_panics() {
        static ONCE: Once = Once::new();
        ONCE.call_once(|| {
            std::panic::set_hook(Box::new(|panic| {
                let message = panic
                    .payload_as_str()
                    .unwrap_or("a panic without a message");
                let place = panic
                    .location()
                    .map_or_else(String::new, ToString::to_string);
                host::log(
                    Level::Error,
                    &format!("panicked at {place}: {message}"),
                    &[("panic.location", &place)],
                );
            }));
        });
    }
}
