//! Bodies that decode another body.

use std::collections::VecDeque;
use std::pin::Pin;
use std::task::{Context, Poll, Waker};

use bytes::Bytes;
use http::HeaderMap;
use http_body::{Body, Frame};

use super::encode;
use super::{Coding, CodingFault, Decoder, Limits, TEXT, of};
use crate::message::body::BodyFault;
use crate::message::coding::Decoded;

/// A body of these polls: None is pending.
struct Script(VecDeque<Option<Result<Frame<Bytes>, BodyFault>>>);

impl Body for Script {
    type Data = Bytes;
    type Error = BodyFault;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        _: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BodyFault>>> {
        match self.0.pop_front() {
            Some(Some(frame)) => Poll::Ready(Some(frame)),
            Some(None) => Poll::Pending,
            None => Poll::Ready(None),
        }
    }

    fn is_end_stream(&self) -> bool {
        self.0.is_empty()
    }
}

fn data(bytes: &[u8]) -> Option<Result<Frame<Bytes>, BodyFault>> {
    Some(Ok(Frame::data(Bytes::copy_from_slice(bytes))))
}

fn decoded<const N: usize>(
    script: [Option<Result<Frame<Bytes>, BodyFault>>; N],
    limits: Limits,
) -> Decoded<Script> {
    let decoder = Decoder::new(&of(&[Coding::Gzip]), limits);
    Decoded::new(Script(script.into()), decoder)
}

fn poll(body: &mut Decoded<Script>) -> Poll<Option<Result<Frame<Bytes>, BodyFault>>> {
    Pin::new(body).poll_frame(&mut Context::from_waker(Waker::noop()))
}

fn bytes(polled: Poll<Option<Result<Frame<Bytes>, BodyFault>>>) -> Bytes {
    let Poll::Ready(Some(Ok(frame))) = polled else {
        panic!("no frame: {polled:?}");
    };
    frame.into_data().unwrap()
}

#[test]
fn data_is_decoded_and_trailers_come_after_it() {
    let coded = encode::gzip(TEXT);
    let (head, tail) = coded.split_at(30);
    let mut trailers = HeaderMap::new();
    trailers.insert("x-sum", "7".parse().unwrap());
    let last = Some(Ok(Frame::trailers(trailers.clone())));
    let mut body = decoded(
        [data(head), None, data(b""), data(tail), last],
        Limits::new(1000),
    );
    assert_eq!(
        (body.size_hint().lower(), body.size_hint().upper()),
        (0, None)
    );
    let first = bytes(poll(&mut body));
    assert!(poll(&mut body).is_pending());
    let second = bytes(poll(&mut body));
    assert_eq!([first, second].concat(), TEXT);
    assert!(!body.is_end_stream());
    let Poll::Ready(Some(Ok(frame))) = poll(&mut body) else {
        panic!("no trailers");
    };
    assert_eq!(frame.into_trailers().unwrap(), trailers);
    assert!(matches!(poll(&mut body), Poll::Ready(None)));
    assert!(body.is_end_stream());
}

#[test]
fn a_poll_is_one_frame_of_one_step() {
    let limits = Limits {
        step: 1000,
        ..Limits::new(10_000_000)
    };
    let text = TEXT.repeat(1000);
    let mut body = decoded([data(&encode::gzip(&text))], limits);
    let mut whole = Vec::new();
    while !body.is_end_stream() {
        let frame = bytes(poll(&mut body));
        assert!((1..=1000).contains(&frame.len()));
        whole.extend_from_slice(&frame);
    }
    assert!(whole == text);
    assert!(matches!(poll(&mut body), Poll::Ready(None)));
}

#[test]
fn a_body_that_is_cut_short_is_a_fault_and_then_over() {
    let coded = encode::gzip(TEXT);
    let cut = &coded[..coded.len() - 1];
    let fault = BodyFault::Coding(CodingFault::Broken(Coding::Gzip, "it is cut short"));
    let trailers = Some(Ok(Frame::trailers(HeaderMap::new())));
    for mut body in [
        decoded([data(cut)], Limits::new(1000)),
        decoded([data(cut), trailers], Limits::new(1000)),
    ] {
        assert_eq!(bytes(poll(&mut body)), TEXT);
        assert!(!body.is_end_stream(), "the fault would be lost");
        let Poll::Ready(Some(Err(found))) = poll(&mut body) else {
            panic!("no fault");
        };
        assert_eq!(found, fault);
        assert!(body.is_end_stream());
        assert!(matches!(poll(&mut body), Poll::Ready(None)));
    }
    assert_eq!(
        fault.to_string(),
        "the body cannot be decoded: gzip: it is cut short"
    );
}

#[test]
fn a_fault_of_the_coded_body_is_passed_on() {
    let script = [
        data(&encode::gzip(TEXT)[..30]),
        Some(Err(BodyFault::Timeout)),
    ];
    let mut body = decoded(script, Limits::new(1000));
    bytes(poll(&mut body));
    let found = poll(&mut body);
    assert!(matches!(found, Poll::Ready(Some(Err(BodyFault::Timeout)))));
    assert!(matches!(poll(&mut body), Poll::Ready(None)));
}

#[test]
fn a_body_over_the_limit_is_a_fault() {
    let mut body = decoded([data(&encode::gzip(TEXT))], Limits::new(100));
    let Poll::Ready(Some(Err(fault))) = poll(&mut body) else {
        panic!("no fault");
    };
    assert_eq!(fault, BodyFault::Coding(CodingFault::TooLarge));
}

#[test]
fn an_empty_body_is_over_at_once() {
    let mut body = decoded([], Limits::new(100));
    assert!(body.is_end_stream());
    assert!(matches!(poll(&mut body), Poll::Ready(None)));
}

#[tokio::test]
async fn others_have_their_turn_while_nothing_comes_of_a_body() {
    use http_body_util::BodyExt as _;

    // Members without content: a poll ends before it has gone through all of them, and wakes its task.
    let nothing = encode::gzip(b"").repeat(1000);
    let mut body = decoded(
        [data(&nothing), data(&encode::gzip(TEXT))],
        Limits::new(1000),
    );
    assert!(poll(&mut body).is_pending());
    let whole = body.collect().await.unwrap().to_bytes();
    assert_eq!(whole, TEXT);
}
