//! The libraries that know the codings, behind one face.

use brotli_decompressor::{BrotliDecompressStream, BrotliResult, BrotliState, StandardAlloc};
use flate2::{Decompress, DecompressError, FlushDecompress, Status};
use zstd_safe::{DCtx, DParameter, InBuffer, OutBuffer};

use super::{Coding, CodingFault};

/// The largest window of zstd, as a power of two: 8 MiB, which every decoder of Content-Encoding has (RFC 9659).
const ZSTD_WINDOW: u32 = 23;

/// The window of gzip and deflate, as a power of two: the only one that fits every stream (RFC 1951, section 2).
const DEFLATE_WINDOW: u8 = 15;

/// A decoder of one coding. It allocates with the first byte.
pub(super) enum Layer {
    Gzip(Gzip),
    Deflate(Deflate),
    Brotli(Brotli),
    Zstd(Zstd),
}

/// How many bytes a decoder took and made.
#[derive(Clone, Copy)]
pub(super) struct Moved {
    pub(super) read: usize,
    pub(super) written: usize,
}

impl Moved {
    const NOTHING: Self = Self {
        read: 0,
        written: 0,
    };
}

/// What a library has to say.
type Decoding = Result<Moved, &'static str>;

impl Layer {
    pub(super) fn new(coding: Coding) -> Self {
        match coding {
            Coding::Gzip => Self::Gzip(Gzip::default()),
            Coding::Deflate => Self::Deflate(Deflate::default()),
            Coding::Brotli => Self::Brotli(Brotli::default()),
            Coding::Zstd => Self::Zstd(Zstd::default()),
        }
    }

    /// Decodes as much of the input as fits into the output, or to the end of a member or frame.
    pub(super) fn decode(&mut self, input: &[u8], output: &mut [u8]) -> Result<Moved, CodingFault> {
        let decoding = match self {
            Self::Gzip(gzip) => gzip.decode(input, output),
            Self::Deflate(deflate) => deflate.decode(input, output),
            Self::Brotli(brotli) => brotli.decode(input, output),
            Self::Zstd(zstd) => zstd.decode(input, output),
        };
        decoding.map_err(|why| self.broken(why))
    }

    /// Whether the bytes so far are a whole: none at all are.
    pub(super) fn may_end(&self) -> bool {
        match self {
            Self::Gzip(gzip) => gzip.member.is_none(),
            Self::Deflate(deflate) => matches!(deflate, Deflate::Start(None) | Deflate::Over),
            Self::Brotli(brotli) => matches!(brotli, Brotli::Start | Brotli::Over),
            Self::Zstd(zstd) => !zstd.inside,
        }
    }

    pub(super) fn broken(&self, why: &'static str) -> CodingFault {
        let coding = match self {
            Self::Gzip(_) => Coding::Gzip,
            Self::Deflate(_) => Coding::Deflate,
            Self::Brotli(_) => Coding::Brotli,
            Self::Zstd(_) => Coding::Zstd,
        };
        CodingFault::Broken(coding, why)
    }
}

/// Nothing may follow the end of a coding that is one stream.
fn after_the_end(input: &[u8]) -> Decoding {
    match input {
        [] => Ok(Moved::NOTHING),
        _ => Err("bytes follow its end"),
    }
}

/// Members of gzip, one after the other (RFC 1952, section 2.2).
#[derive(Default)]
pub(super) struct Gzip {
    /// The one that has begun.
    member: Option<Decompress>,
}

impl Gzip {
    fn decode(&mut self, input: &[u8], output: &mut [u8]) -> Decoding {
        if self.member.is_none() && input.is_empty() {
            return Ok(Moved::NOTHING);
        }
        let member = &mut self.member;
        let stream = member.get_or_insert_with(|| Decompress::new_gzip(DEFLATE_WINDOW));
        let (moved, over) = inflate(stream, input, output)?;
        if over {
            *member = None;
        }
        Ok(moved)
    }
}

/// RFC 1950 calls for a head of two bytes. What has none is taken for bare RFC 1951, as browsers do.
pub(super) enum Deflate {
    /// Before its second byte.
    Start(Option<u8>),
    Inside(Decompress),
    Over,
}

impl Default for Deflate {
    fn default() -> Self {
        Self::Start(None)
    }
}

impl Deflate {
    fn decode(&mut self, input: &[u8], output: &mut [u8]) -> Decoding {
        match self {
            Self::Start(first) => {
                let head = match (*first, input) {
                    (_, []) => return Ok(Moved::NOTHING),
                    (None, [byte]) => {
                        *first = Some(*byte);
                        return Ok(Moved {
                            read: 1,
                            written: 0,
                        });
                    }
                    (None, [one, two, ..]) => [*one, *two],
                    (Some(one), [two, ..]) => [one, *two],
                };
                let mut stream = Decompress::new(has_zlib_head(head));
                if let Some(byte) = *first {
                    // Too short for anything to come of it.
                    inflate(&mut stream, &[byte], output)?;
                }
                *self = Self::Inside(stream);
                self.decode(input, output)
            }
            Self::Inside(stream) => {
                let (moved, over) = inflate(stream, input, output)?;
                if over {
                    *self = Self::Over;
                }
                Ok(moved)
            }
            Self::Over => after_the_end(input),
        }
    }
}

/// Method 8, a window of at most 32 KiB, and a number that 31 divides (RFC 1950, section 2.2).
fn has_zlib_head(head: [u8; 2]) -> bool {
    head[0] & 0x0f == 8 && head[0] >> 4 <= 7 && u16::from_be_bytes(head).is_multiple_of(31)
}

/// What an inflating stream makes of the input, and whether it is over.
fn inflate(
    stream: &mut Decompress,
    input: &[u8],
    output: &mut [u8],
) -> Result<(Moved, bool), &'static str> {
    let before = (stream.total_in(), stream.total_out());
    let status = stream
        .decompress(input, output, FlushDecompress::None)
        .map_err(|error| inflate_fault(&error))?;
    let moved = Moved {
        read: usize::try_from(stream.total_in() - before.0).unwrap_or(usize::MAX),
        written: usize::try_from(stream.total_out() - before.1).unwrap_or(usize::MAX),
    };
    Ok((moved, status == Status::StreamEnd))
}

fn inflate_fault(error: &DecompressError) -> &'static str {
    match error.message() {
        _ if error.needs_dictionary().is_some() => "it needs a dictionary",
        Some("incorrect header check") => "its head is invalid",
        Some("incorrect data check" | "incorrect length check") => "its checksum is wrong",
        _ => "its data is invalid",
    }
}

/// The state of the library, with the standard allocator for its three kinds of memory.
type State = BrotliState<StandardAlloc, StandardAlloc, StandardAlloc>;

#[derive(Default)]
pub(super) enum Brotli {
    #[default]
    Start,
    Inside(Box<State>),
    Over,
}

/// The bits of the largest window that is taken: 4 MiB, as encoders make them. The library has all of it at the first
/// byte and fills it ahead of what it hands out, so a few bytes could ask for much.
const BROTLI_WINDOW: u8 = 22;

impl Brotli {
    /// The library decodes up to a window ahead of what it hands out.
    fn decode(&mut self, input: &[u8], output: &mut [u8]) -> Decoding {
        if matches!(self, Self::Start)
            && let Some(first) = input.first()
        {
            // RFC 7932, section 9.1: 18 to 24 bits are said in the first four bits, all others are fewer.
            let more = (first >> 1) & 7;
            if first & 1 == 1 && more > 0 && 17 + more > BROTLI_WINDOW {
                return Err("its window is larger than 4 MiB");
            }
            // Strict: without the large windows that no RFC has.
            let [one, two, three] = [(); 3].map(|()| StandardAlloc::default());
            *self = Self::Inside(Box::new(BrotliState::new_strict(one, two, three)));
        }
        let Self::Inside(state) = self else {
            return after_the_end(input);
        };
        let (mut left, mut read) = (input.len(), 0);
        let (mut room, mut written, mut total) = (output.len(), 0, 0);
        let result = BrotliDecompressStream(
            &mut left,
            &mut read,
            input,
            &mut room,
            &mut written,
            output,
            &mut total,
            state,
        );
        match result {
            BrotliResult::ResultFailure => return Err("its data is invalid"),
            BrotliResult::ResultSuccess => *self = Self::Over,
            BrotliResult::NeedsMoreInput | BrotliResult::NeedsMoreOutput => {}
        }
        Ok(Moved { read, written })
    }
}

/// Frames of zstd, one after the other (RFC 8878, section 3.1).
#[derive(Default)]
pub(super) struct Zstd {
    context: Option<DCtx<'static>>,
    /// Whether a frame has begun and is not over.
    inside: bool,
}

impl Zstd {
    fn decode(&mut self, input: &[u8], output: &mut [u8]) -> Decoding {
        if !self.inside && input.is_empty() {
            return Ok(Moved::NOTHING);
        }
        let context = match &mut self.context {
            Some(context) => context,
            none => none.insert(zstd_context().map_err(zstd_safe::get_error_name)?),
        };
        let (mut from, mut to) = (InBuffer::around(input), OutBuffer::around(output));
        let hint = context
            .decompress_stream(&mut to, &mut from)
            .map_err(zstd_safe::get_error_name)?;
        // Zero: a frame is over, and all of it is handed out.
        self.inside = hint != 0;
        Ok(Moved {
            read: from.pos(),
            written: to.pos(),
        })
    }
}

fn zstd_context() -> Result<DCtx<'static>, zstd_safe::ErrorCode> {
    let mut context = DCtx::create();
    context.set_parameter(DParameter::WindowLogMax(ZSTD_WINDOW))?;
    Ok(context)
}
