//! Reloads that were asked for and have not begun. One does for all who ask before it reads the files: however many ask,
//! and whether they wait for the answer or not, one reload is under way and one waits.

use std::collections::HashMap;

use parking_lot::Mutex;
use tokio::sync::{Semaphore, SemaphorePermit, watch};

/// How many reloads may be under way at once: one reads and builds, the others wait for compilers. Beyond it the next of
/// each kind waits, and who asks for the same waits for that.
const UNDER_WAY: usize = 64;

/// The reloads that have not begun: that of the configuration, without a name, and those of plugins, by name.
#[derive(Debug)]
pub(super) struct Queue<T> {
    next: Mutex<HashMap<Option<String>, Next<T>>>,
    under_way: Semaphore,
}

#[derive(Debug)]
struct Next<T> {
    end: watch::Receiver<Option<T>>,
    is_asked: bool,
}

/// What to do for a reload.
#[derive(Debug)]
pub(super) enum Turn<'a, T> {
    /// It is to be done.
    Lead(Lead<'a, T>),
    /// Another did it.
    Told(T),
}

/// A reload that others may be waiting for. Dropped without an outcome, it leaves one of them to do it.
#[derive(Debug)]
pub(super) struct Lead<'a, T> {
    queue: &'a Queue<T>,
    of: Option<String>,
    end: watch::Sender<Option<T>>,
    has_begun: bool,
    is_asked: bool,
    _place: Option<SemaphorePermit<'a>>,
}

impl<T> Default for Queue<T> {
    fn default() -> Self {
        Self {
            next: Mutex::default(),
            under_way: Semaphore::new(UNDER_WAY),
        }
    }
}

impl<T: Clone> Queue<T> {
    /// What came of a reload that had not begun, or that one is to be done. `is_asked`: by an operator, who is to hear of it.
    pub(super) async fn turn(&self, of: Option<&str>, is_asked: bool) -> Turn<'_, T> {
        loop {
            let mut end = match self.enter(of, is_asked) {
                Ok(mut lead) => {
                    // It is never closed.
                    lead._place = self.under_way.acquire().await.ok();
                    return Turn::Lead(lead);
                }
                Err(end) => end,
            };
            let told = end.wait_for(Option::is_some).await;
            if let Ok(Some(outcome)) = told.as_deref() {
                return Turn::Told(outcome.clone());
            }
        }
    }

    /// A new one, or the end of one that has not begun.
    fn enter(
        &self,
        of: Option<&str>,
        is_asked: bool,
    ) -> Result<Lead<'_, T>, watch::Receiver<Option<T>>> {
        let of = of.map(str::to_owned);
        let mut waiting = self.next.lock();
        if let Some(next) = waiting.get_mut(&of) {
            next.is_asked |= is_asked;
            return Err(next.end.clone());
        }
        let (end, ends) = watch::channel(None);
        let next = Next {
            end: ends,
            is_asked,
        };
        waiting.insert(of.clone(), next);
        Ok(Lead {
            queue: self,
            of,
            end,
            has_begun: false,
            is_asked,
            _place: None,
        })
    }
}

impl<T> Lead<'_, T> {
    /// It reads the files from here on: who asks later is for the next.
    pub(super) fn begin(&mut self) {
        if !std::mem::replace(&mut self.has_begun, true) {
            let next = self.queue.next.lock().remove(&self.of);
            self.is_asked |= next.is_some_and(|next| next.is_asked);
        }
    }

    /// Whether an operator asked for it, as far as is known once it has begun.
    pub(super) fn is_asked(&self) -> bool {
        self.is_asked
    }

    /// Tells all who wait.
    pub(super) fn end(self, outcome: T) {
        self.end.send_replace(Some(outcome));
    }
}

impl<T> Drop for Lead<'_, T> {
    fn drop(&mut self) {
        self.begin();
    }
}

#[cfg(test)]
mod tests {
    use std::pin::pin;
    use std::task::{Context, Poll, Waker};

    use super::*;

    fn poll<F: Future>(future: std::pin::Pin<&mut F>) -> Poll<F::Output> {
        future.poll(&mut Context::from_waker(Waker::noop()))
    }

    fn lead<'a, F: Future<Output = Turn<'a, u32>>>(asking: std::pin::Pin<&mut F>) -> Lead<'a, u32> {
        match poll(asking) {
            Poll::Ready(Turn::Lead(lead)) => lead,
            other => panic!("{other:?}"),
        }
    }

    fn told<'a, F: Future<Output = Turn<'a, u32>>>(asking: std::pin::Pin<&mut F>) -> Option<u32> {
        match poll(asking) {
            Poll::Ready(Turn::Told(outcome)) => Some(outcome),
            Poll::Ready(Turn::Lead(_)) => panic!("a reload more"),
            Poll::Pending => None,
        }
    }

    #[test]
    fn all_who_ask_before_it_begins_are_told_of_one_and_later_ones_of_the_next() {
        let queue = Queue::default();
        let mut first = lead(pin!(queue.turn(None, false)));
        let mut second = pin!(queue.turn(None, true));
        let mut gone = Box::pin(queue.turn(None, false));
        assert_eq!(told(second.as_mut()), None);
        assert_eq!(told(gone.as_mut()), None);
        drop(gone);
        first.begin();
        assert!(first.is_asked(), "an operator waits for it");
        let mut next = lead(pin!(queue.turn(None, false)));
        let mut third = pin!(queue.turn(None, false));
        assert_eq!(told(third.as_mut()), None);
        first.end(1);
        assert_eq!(told(second.as_mut()), Some(1));
        assert_eq!(told(third.as_mut()), None);
        next.begin();
        assert!(!next.is_asked());
        next.end(2);
        assert_eq!(told(third.as_mut()), Some(2));
    }

    #[test]
    fn a_plugin_is_not_the_configuration() {
        let queue = Queue::default();
        let _all = lead(pin!(queue.turn(None, true)));
        let _one = lead(pin!(queue.turn(Some("a"), true)));
        let _other = lead(pin!(queue.turn(Some("b"), true)));
        assert_eq!(told(pin!(queue.turn(Some("a"), true))), None);
    }

    #[test]
    fn one_that_ends_without_an_outcome_leaves_it_to_who_waits() {
        let queue = Queue::default();
        let first = lead(pin!(queue.turn(None, true)));
        let mut second = pin!(queue.turn(None, true));
        assert_eq!(told(second.as_mut()), None);
        drop(first);
        lead(second).end(2);
        assert!(queue.next.lock().is_empty());
    }

    #[test]
    fn where_many_are_under_way_all_who_ask_wait_for_one() {
        let queue = Queue::default();
        let begun: Vec<_> = (0..UNDER_WAY)
            .map(|_| {
                let mut lead = lead(pin!(queue.turn(None, true)));
                lead.begin();
                lead
            })
            .collect();
        let mut next = pin!(queue.turn(None, true));
        let mut behind = pin!(queue.turn(None, true));
        assert_eq!(told(next.as_mut()), None);
        assert_eq!(told(behind.as_mut()), None);
        drop(begun);
        let mut next = lead(next);
        next.begin();
        next.end(1);
        assert_eq!(told(behind), Some(1));
    }
}
