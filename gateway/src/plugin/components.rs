//! Which components are compiled, as whoever loads plugins learns it: compiling takes long, and nothing waits for it
//! that must go on.

use std::collections::HashMap;
use std::sync::Arc;

use super::artifact::Artifact;
use super::compiled::{CompileError, Compiled, Job, Outcome};
use super::engine::Engine;
use super::objection::LoadError;
use crate::config;

/// The components that were compiled for one configuration, or could not be.
#[derive(Debug, Default)]
pub struct Components {
    outcomes: HashMap<[u8; 32], Outcome>,
    /// Those under way.
    jobs: Vec<Arc<Job>>,
}

/// A plugin's file in machine code.
#[derive(Debug)]
pub struct Version {
    pub(super) sha256: [u8; 32],
    pub(super) compiled: Arc<Compiled>,
}

/// Why a plugin's file is not in machine code.
#[derive(Debug)]
pub enum Unopened {
    /// It cannot be.
    Faulty(LoadError),
    /// It has to be compiled first.
    Uncompiled(Artifact),
}

impl Components {
    /// Reads a plugin's file and finds its machine code. Compiles nothing.
    ///
    /// # Errors
    /// If the file is no component, could not be compiled, or has to be.
    pub fn open(&self, engine: &Engine, plugin: &config::Plugin) -> Result<Version, Unopened> {
        let faulty = |key, message: &str| Unopened::Faulty(LoadError::whole(plugin, key, message));
        let whole = |message: String| faulty("path", &message);
        let artifact = Artifact::read(plugin).map_err(|(key, message)| faulty(key, &message))?;
        let path = plugin.path.display();
        if let Some(mistaken) = artifact.mistaken() {
            return Err(whole(format!("{path}: {mistaken}")));
        }
        let sha256 = artifact.sha256;
        let compiled = match self.outcomes.get(&sha256) {
            Some(Ok(compiled)) => Some(compiled.clone()),
            Some(Err(error)) => return Err(whole(format!("{path}: {error}"))),
            None => engine.find(sha256),
        };
        match compiled {
            Some(compiled) => Ok(Version { sha256, compiled }),
            None => Err(Unopened::Uncompiled(artifact)),
        }
    }

    /// Compiles these, and lets go of what was still under way for nothing. May be cancelled: what was begun goes on
    /// until this is asked for something else, or dropped.
    pub async fn compile(
        &mut self,
        engine: &Arc<Engine>,
        artifacts: Vec<Artifact>,
        limits: config::Compile,
    ) {
        let start = |artifact| engine.start(artifact, limits);
        self.jobs = artifacts.into_iter().map(start).collect();
        for job in &self.jobs {
            match job.outcome().await {
                // The next look at its file finds another.
                Err(CompileError::Superseded) => {}
                outcome => {
                    self.outcomes.insert(job.sha256, outcome);
                }
            }
        }
        self.jobs.clear();
    }
}
