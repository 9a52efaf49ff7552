//! The codings of one body, undone one after the other.

use std::fmt;
use std::sync::atomic::AtomicUsize;
use std::sync::atomic::Ordering::Relaxed;

use bytes::{Buf as _, Bytes};

use super::layer::Layer;
use super::{CodingFault, Codings};

/// How many bytes a body may decode to whatever [`Limits::ratio`] says: what is small does no harm, and the shorter a
/// body, the better it may compress.
pub const GRACE: u64 = 1 << 20;

/// How many coded bytes are decoded at once: what the costliest of them take (tables of Huffman codes of which every one
/// is used for nothing) stays within a few milliseconds.
const SLICE: usize = 8 << 10;

/// What a body may decode to.
#[derive(Debug, Clone, Copy)]
pub struct Limits {
    /// The whole, in bytes.
    pub output: u64,
    /// How many bytes come of one coded byte, as soon as there are more than [`GRACE`]. It holds for every one of
    /// several codings, so that none of them works for long without the last one seeing anything of it.
    pub ratio: u32,
    /// The most that is decoded and handed out at once, in bytes.
    pub step: usize,
}

impl Limits {
    /// At most `output` bytes, 100 times the coded ones, 32 KiB at once. Text and JSON compress to a tenth, logs to a
    /// thirtieth; gzip can say a thousand times as much as it has, the others a hundred thousand times.
    pub const fn new(output: u64) -> Self {
        Self {
            output,
            ratio: 100,
            step: 32 << 10,
        }
    }
}

/// Decodes a body piece by piece. The pieces may be cut anywhere.
///
/// What it holds is bounded: [`Limits::step`] twice for the first coding and once for each more, and what the codings
/// themselves need.
pub struct Decoder {
    /// In the order in which they are undone.
    stages: Vec<Stage>,
    limits: Limits,
    /// Where every stage writes: one step.
    scratch: Box<[u8]>,
    /// Coded bytes that were taken.
    taken: u64,
    fault: Option<CodingFault>,
    _room: Option<Room>,
}

/// A part of [`ROOM`](super::ROOM), until it is dropped.
struct Room(usize);

/// What is taken of [`ROOM`](super::ROOM).
static TAKEN: AtomicUsize = AtomicUsize::new(0);

impl Room {
    fn take(bytes: usize) -> Option<Self> {
        let room = Self(bytes);
        // Given back by the drop where it is too much.
        (TAKEN.fetch_add(bytes, Relaxed) + bytes <= super::ROOM).then_some(room)
    }
}

impl Drop for Room {
    fn drop(&mut self) {
        TAKEN.fetch_sub(self.0, Relaxed);
    }
}

/// One coding.
struct Stage {
    layer: Layer,
    /// What the stage before made of its input. The first one takes the pieces themselves.
    input: Bytes,
    /// The last output filled its room: there may be more without more input.
    has_more: bool,
    /// Bytes that it made.
    made: u64,
}

impl Stage {
    fn new(layer: Layer) -> Self {
        Self {
            layer,
            input: Bytes::new(),
            has_more: false,
            made: 0,
        }
    }
}

impl Decoder {
    /// For a body that is coded so. Nothing large is allocated before its first byte.
    pub fn new(codings: &Codings, limits: Limits) -> Self {
        let stages = codings.undone().map(Layer::new).map(Stage::new);
        Self {
            stages: stages.collect(),
            scratch: vec![0; limits.step.max(1)].into(),
            limits,
            taken: 0,
            fault: None,
            _room: None,
        }
    }

    /// The same within what all bodies of the process may take; none where others have it.
    pub fn within_room(codings: &Codings, limits: Limits) -> Option<Self> {
        let room = Room::take(codings.room())?;
        Some(Self {
            _room: Some(room),
            ..Self::new(codings, limits)
        })
    }

    /// The next bytes that the body decodes to, at most one step of them, perhaps none. It takes what it needs from the
    /// front of `piece`; call it with the rest again. None: `piece` is used up, and so is what came of it.
    ///
    /// # Errors
    /// The body is broken or over a limit; from then on it always is.
    pub fn decode(&mut self, piece: &mut Bytes) -> Result<Option<Bytes>, CodingFault> {
        if let Some(fault) = self.fault {
            return Err(fault);
        }
        let decoded = self.step(piece);
        self.fault = decoded.as_ref().err().copied();
        decoded
    }

    /// The body ends here, after its last piece was decoded. A body without any byte is sound: it is what answers
    /// without content carry.
    ///
    /// # Errors
    /// It was cut short, or it was broken before.
    pub fn finish(&self) -> Result<(), CodingFault> {
        if let Some(fault) = self.fault {
            return Err(fault);
        }
        let cut = self.stages.iter().find(|stage| !stage.layer.may_end());
        match cut {
            Some(stage) => Err(stage.layer.broken("it is cut short")),
            None => Ok(()),
        }
    }

    /// Whether all that was taken is handed out, and the body may end here.
    pub(super) fn may_end(&self) -> bool {
        let idle = |stage: &Stage| stage.input.is_empty() && !stage.has_more;
        self.stages.iter().all(idle) && self.finish().is_ok()
    }

    /// Has the last stage that can go on do so, once: whatever a stage made is used up before there is more of it.
    fn step(&mut self, piece: &mut Bytes) -> Result<Option<Bytes>, CodingFault> {
        let able = |(index, stage): &(usize, &Stage)| match index {
            0 => stage.has_more || !piece.is_empty(),
            _ => stage.has_more || !stage.input.is_empty(),
        };
        let Some((index, _)) = self.stages.iter().enumerate().rfind(able) else {
            return Ok(None);
        };
        let stage = &mut self.stages[index];
        let input = if index == 0 { piece } else { &mut stage.input };
        let slice = &input[..input.len().min(SLICE)];
        let moved = stage.layer.decode(slice, &mut self.scratch)?;
        if (moved.read, moved.written) == (0, 0) && !slice.is_empty() && !stage.has_more {
            return Err(stage.layer.broken("it does not go on"));
        }
        input.advance(moved.read);
        stage.has_more = moved.written == self.scratch.len() && !stage.layer.may_end();
        stage.made += moved.written as u64;
        if index == 0 {
            self.taken += moved.read as u64;
        }
        self.check(index)?;
        let made = Bytes::copy_from_slice(&self.scratch[..moved.written]);
        match self.stages.get_mut(index + 1) {
            Some(next) => {
                next.input = made;
                Ok(Some(Bytes::new()))
            }
            None => Ok(Some(made)),
        }
    }

    /// Whether what a stage made is within the limits.
    fn check(&self, index: usize) -> Result<(), CodingFault> {
        let made = self.stages[index].made;
        let is_last = index + 1 == self.stages.len();
        if is_last && made > self.limits.output {
            return Err(CodingFault::TooLarge);
        }
        let proportionate = self.taken.saturating_mul(self.limits.ratio.into());
        if made > proportionate.max(GRACE) {
            return Err(CodingFault::Ratio);
        }
        Ok(())
    }
}

impl fmt::Debug for Decoder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Decoder")
            .field("limits", &self.limits)
            .field("taken", &self.taken)
            .field("fault", &self.fault)
            .finish_non_exhaustive()
    }
}
