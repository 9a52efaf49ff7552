//! WASI with nothing behind it and nothing to wait for: what std brings into every component, and no more. A
//! component that links against it alone can be called without a fibre.

use wasmtime::StoreContextMut;
use wasmtime::component::{Linker, LinkerInstance, Resource, ResourceType};
use wasmtime_wasi::WasiView;
use wasmtime_wasi::cli::{WasiCli, WasiCliView};
use wasmtime_wasi::clocks::{WasiClocks, WasiClocksView};
use wasmtime_wasi::p2::bindings::io::streams::StreamError;
use wasmtime_wasi::p2::bindings::{cli, clocks, random};
use wasmtime_wasi::p2::{DynInputStream, DynOutputStream, DynPollable, IoError, subscribe};
use wasmtime_wasi::random::{WasiRandom, WasiRandomCtx};

use super::guest::Guest;

type Streamed<T> = wasmtime::Result<(Result<T, StreamError>,)>;

/// Adds it. `thread::sleep`, files and sockets are not in it.
pub(super) fn add_to_linker(linker: &mut Linker<Guest>) -> wasmtime::Result<()> {
    fn randomness(guest: &mut Guest) -> &mut WasiRandomCtx {
        guest.ctx().ctx.random()
    }
    clocks::wall_clock::add_to_linker::<_, WasiClocks>(linker, WasiClocksView::clocks)?;
    random::random::add_to_linker::<_, WasiRandom>(linker, randomness)?;
    random::insecure::add_to_linker::<_, WasiRandom>(linker, randomness)?;
    random::insecure_seed::add_to_linker::<_, WasiRandom>(linker, randomness)?;
    cli::exit::add_to_linker::<_, WasiCli>(linker, WasiCliView::cli)?;
    cli::environment::add_to_linker::<_, WasiCli>(linker, WasiCliView::cli)?;
    cli::stdin::add_to_linker::<_, WasiCli>(linker, WasiCliView::cli)?;
    cli::stdout::add_to_linker::<_, WasiCli>(linker, WasiCliView::cli)?;
    cli::stderr::add_to_linker::<_, WasiCli>(linker, WasiCliView::cli)?;
    cli::terminal_input::add_to_linker::<_, WasiCli>(linker, WasiCliView::cli)?;
    cli::terminal_output::add_to_linker::<_, WasiCli>(linker, WasiCliView::cli)?;
    cli::terminal_stdin::add_to_linker::<_, WasiCli>(linker, WasiCliView::cli)?;
    cli::terminal_stdout::add_to_linker::<_, WasiCli>(linker, WasiCliView::cli)?;
    cli::terminal_stderr::add_to_linker::<_, WasiCli>(linker, WasiCliView::cli)?;
    monotonic_clock(&mut linker.instance("wasi:clocks/monotonic-clock@0.2.12")?)?;
    error(&mut linker.instance("wasi:io/error@0.2.12")?)?;
    poll(&mut linker.instance("wasi:io/poll@0.2.12")?)?;
    streams(&mut linker.instance("wasi:io/streams@0.2.12")?)
}

/// Reads of the clock. What subscribes to a moment would have to wait for it.
fn monotonic_clock(instance: &mut LinkerInstance<'_, Guest>) -> wasmtime::Result<()> {
    use clocks::monotonic_clock::Host;

    instance.func_wrap("now", |mut store: StoreContextMut<'_, Guest>, (): ()| {
        Ok((WasiClocksView::clocks(store.data_mut()).now()?,))
    })?;
    instance.func_wrap(
        "resolution",
        |mut store: StoreContextMut<'_, Guest>, (): ()| {
            Ok((WasiClocksView::clocks(store.data_mut()).resolution()?,))
        },
    )
}

fn error(instance: &mut LinkerInstance<'_, Guest>) -> wasmtime::Result<()> {
    instance.resource(
        "error",
        ResourceType::host::<IoError>(),
        |mut store, rep| {
            store
                .data_mut()
                .table
                .delete(Resource::<IoError>::new_own(rep))?;
            Ok(())
        },
    )?;
    instance.func_wrap(
        "[method]error.to-debug-string",
        |store: StoreContextMut<'_, Guest>, (error,): (Resource<IoError>,)| {
            Ok((format!("{:?}", store.data().table.get(&error)?),))
        },
    )
}

/// Only output streams can be subscribed to here, and what a guest writes never waits.
fn poll(instance: &mut LinkerInstance<'_, Guest>) -> wasmtime::Result<()> {
    instance.resource(
        "pollable",
        ResourceType::host::<DynPollable>(),
        |mut store, rep| {
            store
                .data_mut()
                .table
                .delete(Resource::<DynPollable>::new_own(rep))?;
            Ok(())
        },
    )?;
    instance.func_wrap(
        "[method]pollable.ready",
        |_: StoreContextMut<'_, Guest>, (_,): (Resource<DynPollable>,)| Ok((true,)),
    )?;
    instance.func_wrap(
        "[method]pollable.block",
        |_: StoreContextMut<'_, Guest>, (_,): (Resource<DynPollable>,)| Ok(()),
    )
}

fn streams(instance: &mut LinkerInstance<'_, Guest>) -> wasmtime::Result<()> {
    instance.resource(
        "input-stream",
        ResourceType::host::<DynInputStream>(),
        |mut store, rep| {
            store
                .data_mut()
                .table
                .delete(Resource::<DynInputStream>::new_own(rep))?;
            Ok(())
        },
    )?;
    instance.resource(
        "output-stream",
        ResourceType::host::<DynOutputStream>(),
        |mut store, rep| {
            store
                .data_mut()
                .table
                .delete(Resource::<DynOutputStream>::new_own(rep))?;
            Ok(())
        },
    )?;
    output(instance)
}

/// Writes go to the log at once or nowhere; there is nothing to flush.
fn output(instance: &mut LinkerInstance<'_, Guest>) -> wasmtime::Result<()> {
    type Stream = Resource<DynOutputStream>;

    instance.func_wrap(
        "[method]output-stream.check-write",
        |mut store: StoreContextMut<'_, Guest>, (stream,): (Stream,)| -> Streamed<u64> {
            let permit = store.data_mut().table.get_mut(&stream)?.check_write()?;
            Ok((Ok(permit as u64),))
        },
    )?;
    for name in ["write", "blocking-write-and-flush"] {
        instance.func_wrap(
            &format!("[method]output-stream.{name}"),
            |mut store: StoreContextMut<'_, Guest>,
             (stream, bytes): (Stream, Vec<u8>)|
             -> Streamed<()> {
                store
                    .data_mut()
                    .table
                    .get_mut(&stream)?
                    .write(bytes.into())?;
                Ok((Ok(()),))
            },
        )?;
    }
    for name in ["flush", "blocking-flush"] {
        instance.func_wrap(
            &format!("[method]output-stream.{name}"),
            |mut store: StoreContextMut<'_, Guest>, (stream,): (Stream,)| -> Streamed<()> {
                store.data_mut().table.get_mut(&stream)?.flush()?;
                Ok((Ok(()),))
            },
        )?;
    }
    instance.func_wrap(
        "[method]output-stream.subscribe",
        |mut store: StoreContextMut<'_, Guest>, (stream,): (Stream,)| {
            Ok((subscribe(&mut store.data_mut().table, stream)?,))
        },
    )
}
