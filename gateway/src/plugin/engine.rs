//! The wasmtime engine of the process: how guests are compiled, where their memory lives, and the clock that
//! interrupts them.

use std::collections::{HashMap, HashSet};
use std::fmt;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Weak};

use parking_lot::Mutex;
use wasmtime::component::Component;
use wasmtime::{
    Cache, CacheConfig, Config, Enabled, OptLevel, PoolingAllocationConfig, WasmBacktraceDetails,
};

use super::priority::{COMPILER, set_niceness};
use super::shares::WorkerShare;
use super::ticker::{Clock, Ticker};
use crate::allocator;
use crate::telemetry::metrics::Metrics;

/// Instances that may live at once in the whole process.
const INSTANCES: u32 = 4_000;
/// What a guest may use of its stack; the rest of the fibre's stack is the host's.
const GUEST_STACK: usize = 512 << 10;
const FIBRE_STACK: usize = 1 << 20;

/// Compiles plugins and interrupts them. One per process; the ticking thread ends when it is dropped.
pub struct Engine {
    wasmtime: wasmtime::Engine,
    compiled: Mutex<HashMap<[u8; 32], Weak<Compiled>>>,
    /// Whether machine code is kept in files.
    cached: bool,
    /// What has been compiled, so that it is in the cache.
    tried: Mutex<HashSet<[u8; 32]>>,
    ticker: Ticker,
    /// What plugins may take of each worker.
    shares: Vec<Arc<WorkerShare>>,
}

/// A component in machine code.
pub(super) struct Compiled {
    pub(super) component: Component,
}

/// Why there is no engine.
#[derive(Debug, thiserror::Error)]
pub enum EngineError {
    /// The compile cache's directory is not usable.
    #[error("compile cache {path}: {source}")]
    Cache {
        /// The directory.
        path: PathBuf,
        /// What is wrong with it.
        source: io::Error,
    },
    /// wasmtime does not run here.
    #[error("the WebAssembly engine does not start: {0}")]
    Wasmtime(String),
}

impl Engine {
    /// An engine whose compiled code is kept in `compile_cache` (made, private to the user, if it is not there).
    /// `workers` sets how many slots stay warm; `metrics` learns of ticks that come late.
    ///
    /// # Errors
    /// If the cache directory cannot be made or is not private, or wasmtime does not run on this machine.
    pub fn new(
        compile_cache: Option<&Path>,
        workers: usize,
        metrics: &Arc<Metrics>,
    ) -> Result<Arc<Self>, EngineError> {
        let cache = compile_cache.map(open_cache).transpose()?;
        let pooled =
            wasmtime::Engine::new(config(cache.clone()).allocation_strategy(pooling(workers)));
        let wasmtime = match pooled {
            Ok(engine) => engine,
            Err(error) => {
                tracing::warn!(%error, "no address space for a pool of plugin instances; each is mapped by itself");
                wasmtime::Engine::new(&config(cache))
                    .map_err(|e| EngineError::Wasmtime(format!("{e:#}")))?
            }
        };
        let ticking = wasmtime.clone();
        let ticker = Ticker::start(move || ticking.increment_epoch(), metrics.clone())
            .map_err(|e| EngineError::Wasmtime(e.to_string()))?;
        Ok(Arc::new(Self {
            wasmtime,
            compiled: Mutex::default(),
            cached: compile_cache.is_some(),
            tried: Mutex::default(),
            ticker,
            shares: (0..workers).map(|_| Arc::default()).collect(),
        }))
    }

    pub(super) fn wasmtime(&self) -> &wasmtime::Engine {
        &self.wasmtime
    }

    /// What plugins may take of a worker.
    pub(super) fn share(&self, worker: usize) -> Arc<WorkerShare> {
        self.shares.get(worker).cloned().unwrap_or_default()
    }

    /// What guests mark when they run.
    pub(super) fn clock(&self) -> Arc<Clock> {
        self.ticker.clock()
    }

    /// Compiles a component, unless the same bytes are in use already.
    pub(super) fn compile(
        &self,
        sha256: [u8; 32],
        bytes: &[u8],
    ) -> wasmtime::Result<Arc<Compiled>> {
        if let Some(compiled) = self.compiled.lock().get(&sha256).and_then(Weak::upgrade) {
            return Ok(compiled);
        }
        // This thread loads the component from the cache; the compilers' memory is freed with their threads.
        let first = self.cached && self.tried.lock().insert(sha256);
        if first {
            on_passing_threads(|| Component::from_binary(&self.wasmtime, bytes).map(drop))?;
        }
        let component = Component::from_binary(&self.wasmtime, bytes)?;
        allocator::give_back();
        let compiled = Arc::new(Compiled { component });
        let mut known = self.compiled.lock();
        known.retain(|_, compiled| compiled.strong_count() > 0);
        known.insert(sha256, Arc::downgrade(&compiled));
        Ok(compiled)
    }
}

/// Compiles on threads that end with it: an allocator with a heap per thread keeps what a living thread has freed,
/// and that is tens of MiB for a compiler.
fn on_passing_threads<R: Send>(compile: impl FnOnce() -> R + Send) -> R {
    let mut threads = Vec::new();
    let pool = rayon::ThreadPoolBuilder::new()
        .spawn_handler(|thread| {
            let name = format!("compile-{}", thread.index());
            let builder = std::thread::Builder::new().name(name);
            threads.push(builder.spawn(|| {
                set_niceness(COMPILER);
                thread.run();
            })?);
            Ok(())
        })
        .build();
    let made = match pool {
        Ok(pool) => pool.install(compile),
        Err(error) => {
            tracing::warn!(%error, "no threads of its own to compile on");
            compile()
        }
    };
    for thread in threads {
        if thread.join().is_err() {
            tracing::error!("a thread that compiles had panicked");
        }
    }
    made
}

impl fmt::Debug for Engine {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Engine").finish_non_exhaustive()
    }
}

fn config(cache: Option<Cache>) -> Config {
    let mut config = Config::new();
    config
        .cache(cache)
        .cranelift_opt_level(OptLevel::Speed)
        .epoch_interruption(true)
        .concurrency_support(false)
        .max_wasm_stack(GUEST_STACK)
        .async_stack_size(FIBRE_STACK)
        .memory_init_cow(true)
        .wasm_backtrace_details(WasmBacktraceDetails::Disable)
        .wasm_component_model(true)
        .wasm_multi_memory(false)
        .wasm_memory64(false)
        .wasm_relaxed_simd(false)
        .wasm_tail_call(false);
    config
}

fn pooling(workers: usize) -> wasmtime::InstanceAllocationStrategy {
    let warm = u32::try_from(workers).unwrap_or(u32::MAX).saturating_mul(8);
    let mut pool = PoolingAllocationConfig::new();
    pool.total_component_instances(INSTANCES)
        .total_core_instances(INSTANCES * 4)
        .total_memories(INSTANCES)
        .total_tables(INSTANCES * 3)
        .total_stacks(INSTANCES)
        .max_core_instances_per_component(8)
        .max_memories_per_component(1)
        .max_tables_per_component(8)
        .table_elements(20_000)
        .max_unused_warm_slots(warm)
        // Where the kernel tells which pages were written, only those are reset, in place: no fault for the next.
        .pagemap_scan(Enabled::Auto)
        .linear_memory_keep_resident(128 << 10)
        .table_keep_resident(8 << 10)
        .decommit_batch_size(1);
    wasmtime::InstanceAllocationStrategy::Pooling(pool)
}

/// The cache holds machine code that will run in this process: no other user may write there.
fn open_cache(path: &Path) -> Result<Cache, EngineError> {
    let fail = |source| EngineError::Cache {
        path: path.to_owned(),
        source,
    };
    private_directory(path).map_err(fail)?;
    let mut config = CacheConfig::new();
    config.with_directory(path);
    Cache::new(config).map_err(|e| fail(io::Error::other(format!("{e:#}"))))
}

/// Makes the directory, or sees to it that it belongs to the user of this process and that no other user can
/// write there.
#[cfg(unix)]
fn private_directory(path: &Path) -> io::Result<()> {
    use std::os::unix::fs::{DirBuilderExt, MetadataExt};

    let refuse = |why: String| Err(io::Error::other(why));
    let mut builder = std::fs::DirBuilder::new();
    if let Err(error) = builder.recursive(true).mode(0o700).create(path)
        && error.kind() != io::ErrorKind::AlreadyExists
    {
        return Err(error);
    }
    // Of the link itself, if it is one.
    let found = std::fs::symlink_metadata(path)?;
    if found.file_type().is_symlink() {
        return refuse(
            "is a link; machine code is run from here, so name the directory itself".to_owned(),
        );
    }
    if !found.is_dir() {
        return refuse("is not a directory".to_owned());
    }
    let mode = found.mode() & 0o7777;
    if mode & 0o022 != 0 {
        return refuse(format!(
            "others may write there (mode {mode:o}), and machine code is run from here; chmod go-w it, or name another directory"
        ));
    }
    let own = own_user(path)?;
    if found.uid() != own {
        return refuse(format!(
            "belongs to the user {}, not to this process's user {own}, and machine code is run from here; name another directory",
            found.uid()
        ));
    }
    Ok(())
}

/// The user that files of this process belong to.
#[cfg(unix)]
fn own_user(directory: &Path) -> io::Result<u32> {
    use std::os::unix::fs::MetadataExt;

    let probe = directory.join(format!(".owner-{}", std::process::id()));
    let file = std::fs::OpenOptions::new()
        .write(true)
        .create(true)
        .truncate(true)
        .open(&probe)?;
    let user = file.metadata()?.uid();
    std::fs::remove_file(&probe)?;
    Ok(user)
}

#[cfg(not(unix))]
fn private_directory(path: &Path) -> io::Result<()> {
    std::fs::create_dir_all(path)
}

#[cfg(all(test, unix))]
mod tests {
    use std::fs::{self, Permissions};
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    #[test]
    fn a_cache_directory_is_made_for_its_user_alone() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("a/b");
        private_directory(&path).unwrap();
        private_directory(&path).unwrap();
        let mode = fs::metadata(&path).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o700);
        assert_eq!(fs::read_dir(&path).unwrap().count(), 0);
    }

    #[test]
    fn a_cache_directory_that_others_may_write_to_is_refused() {
        for mode in [0o770, 0o707, 0o777, 0o1777] {
            let directory = tempfile::tempdir().unwrap();
            let path = directory.path().join("cache");
            fs::create_dir(&path).unwrap();
            fs::set_permissions(&path, Permissions::from_mode(mode)).unwrap();
            let error = private_directory(&path).unwrap_err().to_string();
            assert!(error.contains(&format!("mode {mode:o}")), "{error}");
        }
    }

    #[test]
    fn a_cache_directory_that_is_a_link_or_a_file_is_refused() {
        let directory = tempfile::tempdir().unwrap();
        let at = |name: &str| directory.path().join(name);
        fs::create_dir(at("real")).unwrap();
        std::os::unix::fs::symlink(at("real"), at("link")).unwrap();
        fs::write(at("file"), "").unwrap();
        let error = |name| private_directory(&at(name)).unwrap_err().to_string();
        assert!(error("link").contains("is a link"), "{}", error("link"));
        assert!(
            error("file").contains("not a directory"),
            "{}",
            error("file")
        );
    }

    #[test]
    fn the_user_of_this_process_owns_what_it_makes() {
        use std::os::unix::fs::MetadataExt;

        let directory = tempfile::tempdir().unwrap();
        let owner = fs::metadata(directory.path()).unwrap().uid();
        assert_eq!(own_user(directory.path()).unwrap(), owner);
    }
}
