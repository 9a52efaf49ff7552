//! The wasmtime engine of the process: which guests are compiled, where their memory lives, and the clock that
//! interrupts them.

use std::collections::HashMap;
use std::fmt;
use std::path::Path;
use std::sync::{Arc, Weak};
use std::thread;
use std::time::Duration;

use parking_lot::Mutex;
use tokio::sync::{Semaphore, SemaphorePermit, watch};
use tokio_util::sync::CancellationToken;
use wasmtime::component::Component;
use wasmtime::{Config, Enabled, OptLevel, PoolingAllocationConfig, WasmBacktraceDetails};

use super::apart;
use super::artifact::Artifact;
use super::cache::CompileCache;
use super::compiled::{CompileError, Compiled, Job, Outcome};
use super::room::Rooms;
use super::shares::WorkerShare;
use super::ticker::{Clock, Ticker};
use crate::allocator;
use crate::config;
use crate::telemetry::metrics::Metrics;

/// Instances that may live at once in the whole process.
const INSTANCES: u32 = 4_000;
/// What a guest may use of its stack; the rest of the fibre's stack is the host's.
const GUEST_STACK: usize = 512 << 10;
const FIBRE_STACK: usize = 1 << 20;

/// Compilers that run at once; more components wait for one of them.
const COMPILERS: usize = 4;
/// Between two looks whether one is free.
const LOOK: Duration = Duration::from_millis(5);

/// Where plugins are compiled.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Place {
    /// In a child process of this binary, within `server.compile`.
    Apart,
    /// As [`Place::Apart`], and nothing is kept of it: the compile cache is only read.
    Nowhere,
    /// In this process, without limits: for a binary that is not the gateway's own, as a bench is.
    Here,
}

/// Compiles plugins and interrupts them. One per process; the ticking thread ends when it is dropped.
pub struct Engine {
    wasmtime: wasmtime::Engine,
    place: Place,
    compiled: Mutex<HashMap<[u8; 32], Weak<Compiled>>>,
    cache: Option<CompileCache>,
    warning: Option<String>,
    jobs: Mutex<Vec<Weak<Job>>>,
    compilers: Semaphore,
    ended: CancellationToken,
    ticker: Ticker,
    rooms: Arc<Rooms>,
    /// What plugins may take of each worker.
    shares: Vec<Arc<WorkerShare>>,
}

/// wasmtime does not run here.
#[derive(Debug, thiserror::Error)]
#[error("the WebAssembly engine does not start: {0}")]
pub struct EngineError(String);

impl Engine {
    /// An engine whose compiled code is kept in `compile_cache` (made, private to the user, if it is not there); where
    /// that cannot be, there is a [warning](Self::warning), and no cache. `workers` sets how many slots stay warm;
    /// `metrics` learns of ticks that come late.
    ///
    /// # Errors
    /// If wasmtime does not run on this machine.
    pub fn new(
        place: Place,
        compile_cache: Option<&Path>,
        workers: usize,
        metrics: &Arc<Metrics>,
    ) -> Result<Arc<Self>, EngineError> {
        let pooled = wasmtime::Engine::new(config().allocation_strategy(pooling(workers)));
        let wasmtime = match pooled {
            Ok(engine) => engine,
            Err(error) => {
                tracing::warn!(%error, "no address space for a pool of plugin instances; each is mapped by itself");
                wasmtime::Engine::new(&config()).map_err(|e| EngineError(format!("{e:#}")))?
            }
        };
        let kind = || wasmtime.precompile_compatibility_hash();
        let opened = compile_cache.map(|path| {
            let opened = match place {
                Place::Nowhere => CompileCache::look(path, kind()),
                Place::Apart | Place::Here => CompileCache::open(path, kind()),
            };
            opened.map_err(|error| {
                let path = path.display();
                format!("{path}: {error}; plugins are compiled again at every start")
            })
        });
        let (cache, warning) = match opened.transpose() {
            Ok(cache) => (cache, None),
            Err(warning) => (None, Some(warning)),
        };
        let ticking = wasmtime.clone();
        let ticker = Ticker::start(move || ticking.increment_epoch(), metrics.clone())
            .map_err(|e| EngineError(e.to_string()))?;
        Ok(Arc::new(Self {
            wasmtime,
            place,
            compiled: Mutex::default(),
            cache,
            warning,
            jobs: Mutex::default(),
            compilers: Semaphore::new(COMPILERS),
            ended: CancellationToken::new(),
            ticker,
            rooms: Arc::default(),
            shares: (0..workers).map(|_| Arc::default()).collect(),
        }))
    }

    /// Why there is no compile cache where `server.compile_cache` names one.
    pub fn warning(&self) -> Option<&str> {
        self.warning.as_deref()
    }

    /// Ends what is being compiled, and compiles nothing any more.
    pub fn end(&self) {
        self.ended.cancel();
    }

    pub(super) fn wasmtime(&self) -> &wasmtime::Engine {
        &self.wasmtime
    }

    /// Divides the memory that all instances together may have among these plugins.
    pub fn divide_memory<'a>(&self, total: usize, plugins: impl Iterator<Item = &'a Arc<str>>) {
        self.rooms.divide(total, plugins);
    }

    pub(super) fn rooms(&self) -> &Arc<Rooms> {
        &self.rooms
    }

    /// What plugins may take of a worker.
    pub(super) fn share(&self, worker: usize) -> Arc<WorkerShare> {
        self.shares.get(worker).cloned().unwrap_or_default()
    }

    /// What guests mark when they run.
    pub(super) fn clock(&self) -> Arc<Clock> {
        self.ticker.clock()
    }

    /// A component that is compiled already: in use, or in the cache.
    pub(super) fn find(&self, sha256: [u8; 32]) -> Option<Arc<Compiled>> {
        if let Some(compiled) = self.compiled.lock().get(&sha256).and_then(Weak::upgrade) {
            return Some(compiled);
        }
        let code = self.cache.as_ref()?.get(&sha256)?;
        self.load(sha256, &code)
            .inspect_err(|error| {
                tracing::warn!("what the compile cache has is of no use: {error:#}");
            })
            .ok()
    }

    /// Begins to compile a component, or joins who does. An older version of the same plugin is not wanted any more.
    pub(super) fn start(self: &Arc<Self>, artifact: Artifact, limits: config::Compile) -> Arc<Job> {
        let mut jobs = self.jobs.lock();
        jobs.retain(|job| job.strong_count() > 0);
        for job in jobs.iter().filter_map(Weak::upgrade) {
            if job.sha256 == artifact.sha256 && !job.stop.is_cancelled() {
                return job;
            }
            if job.plugin == artifact.plugin {
                job.stop.cancel();
            }
        }
        let (report, done) = watch::channel(None);
        let job = Arc::new(Job {
            plugin: artifact.plugin.clone(),
            sha256: artifact.sha256,
            stop: self.ended.child_token(),
            done,
        });
        jobs.push(Arc::downgrade(&job));
        tracing::info!(plugin = %job.plugin, "compiling");
        let (engine, stop) = (self.clone(), job.stop.clone());
        let thread = thread::Builder::new().name("compile".to_owned());
        let spawned = thread.spawn(move || {
            let outcome = match engine.compile(&artifact, limits, &stop) {
                Err(CompileError::Superseded) if engine.ended.is_cancelled() => {
                    Err(CompileError::Ended)
                }
                outcome => outcome,
            };
            drop(artifact);
            allocator::give_back();
            let _nobody_waits = report.send(Some(outcome));
        });
        if let Err(error) = spawned {
            tracing::error!(%error, "no thread that compiles");
        }
        job
    }

    fn compile(
        &self,
        artifact: &Artifact,
        limits: config::Compile,
        stop: &CancellationToken,
    ) -> Outcome {
        let _compiler = self.compiler(stop)?;
        // Who was there before may have had the same.
        if let Some(compiled) = self.find(artifact.sha256) {
            return Ok(compiled);
        }
        let code = match self.place {
            Place::Apart | Place::Nowhere => apart::compile(&artifact.bytes, limits, stop)?,
            Place::Here => self
                .wasmtime
                .precompile_component(&artifact.bytes)
                .map_err(|error| CompileError::Component(format!("{error:#}")))?,
        };
        if let Some(cache) = &self.cache {
            cache.put(&artifact.sha256, &code);
        }
        self.load(artifact.sha256, &code)
            .map_err(|error| CompileError::Compiler(format!("{error:#}")))
    }

    /// Waits until a compiler may run.
    fn compiler(&self, stop: &CancellationToken) -> Result<SemaphorePermit<'_>, CompileError> {
        loop {
            if stop.is_cancelled() {
                return Err(CompileError::Superseded);
            }
            if let Ok(compiler) = self.compilers.try_acquire() {
                return Ok(compiler);
            }
            thread::sleep(LOOK);
        }
    }

    /// Makes a component of machine code, which an own compiler made.
    #[allow(
        unsafe_code,
        reason = "machine code is run as it is. It comes from the child that this process started from its own binary, \
                  or from a directory where this user alone may write, whole as such a child made it (`cache.rs`)"
    )]
    fn load(&self, sha256: [u8; 32], code: &[u8]) -> wasmtime::Result<Arc<Compiled>> {
        // SAFETY: see above; that it is for this version and this machine wasmtime looks itself.
        let component = unsafe { Component::deserialize(&self.wasmtime, code) }?;
        let compiled = Arc::new(Compiled { component });
        let mut known = self.compiled.lock();
        known.retain(|_, compiled| compiled.strong_count() > 0);
        known.insert(sha256, Arc::downgrade(&compiled));
        Ok(compiled)
    }
}

impl fmt::Debug for Engine {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Engine").finish_non_exhaustive()
    }
}

/// What machine code is made for; the compiler has the same.
pub(super) fn config() -> Config {
    let mut config = Config::new();
    config
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
