//! A consumer of rayon as one of ours.

use super::pinned::Pinned;
use super::units::{Batch, Cut, split};
use crate::par::consumers::Consumer;
use rayon::iter::plumbing::{self, Folder, Producer, Reducer};
use std::sync::Arc;

/// A folder gets at most this share of what is left of its part, or a batch. So a part can be
/// halved three times at once before it has nothing to give but what its folder holds; and one of
/// `n` units that nobody shares makes at most about `16 * ln(n / 8)` folders, fewer if its batches
/// are long.
const PIECES: usize = 8;

/// Eats one part of the loop with the folders of a consumer of rayon. The units to come are, in
/// this order: those to `skip`; those of the folder at work, or of `next`; those of each
/// [`Split::Ahead`] in the path, the innermost first.
pub(super) struct Part<T, C: plumbing::Consumer<T>> {
    /// How many units are to come.
    len: usize,
    /// Units of a folder that was full before they came.
    skip: usize,
    /// The next piece that has no folder yet, and its length. If it is `None` and no folder is at
    /// work, nothing is to come.
    next: Option<(C, usize)>,
    /// `None` while the part has not begun.
    here: Option<Pinned<Here<T, C>>>,
    /// The result, when nothing is to come. `None` for a part that had no units, and no consumer.
    last: Option<C::Result>,
    /// Tells the source what `split_at` will do; `None` if that has heard nothing yet.
    cut: Option<Arc<Cut>>,
    /// The driver splits no part of fewer than twice as many units; at least 1.
    min: usize,
}

/// What a part has on its thread.
struct Here<T, C: plumbing::Consumer<T>> {
    folder: Option<Open<C::Folder>>,
    path: Path<T, C>,
}

/// A folder at work.
struct Open<F> {
    folder: F,
    /// How many units it still gets; not 0.
    room: usize,
}

/// The splits between the consumer that a part has begun with and the piece it is at, outermost
/// first. None is `Ahead` further out than one that is `Given`.
type Path<T, C> =
    Vec<Split<C, <C as plumbing::Consumer<T>>::Result, <C as plumbing::Consumer<T>>::Reducer>>;

/// Where a part stands in a split, whose reducer is `D`.
enum Split<C, R, D> {
    /// At its left side; the right one is to come.
    Ahead(Piece<C, D>, D),
    /// At its left side; the right one is another part.
    Given(D),
    /// At its right side; this is the result of the left one.
    Behind(R, D),
}

struct Piece<C, D> {
    consumer: C,
    len: usize,
    /// Splits of this piece, outermost first, whose right sides are other parts.
    given: Vec<D>,
}

/// From a result goes out to the next split that waits for something else: the last one of the path
/// then, if there is any.
fn climb<C, R, D: Reducer<R>>(path: &mut Vec<Split<C, R, D>>, mut result: R) -> R {
    while let Some(split) = path.pop() {
        match split {
            Split::Behind(left, reducer) => result = reducer.reduce(left, result),
            waiting => {
                path.push(waiting);
                break;
            }
        }
    }
    result
}

impl<T, C: plumbing::Consumer<T>> Part<T, C> {
    pub(super) fn new(consumer: C, len: usize, min: usize) -> Self {
        Part { len, next: Some((consumer, len)), ..Part::void(min) }
    }

    fn void(min: usize) -> Self {
        Part { len: 0, skip: 0, next: None, here: None, last: None, cut: None, min }
    }

    fn here(&mut self) -> &mut Here<T, C> {
        let new = || Pinned::new(Here { folder: None, path: Vec::new() });
        self.here.get_or_insert_with(new).get_mut()
    }

    /// The folder at work, else the next one, when `n` units have come for it.
    fn open(&mut self, n: usize) -> Option<Open<C::Folder>> {
        if let Some(open) = self.here().folder.take() {
            return Some(open);
        }
        let (mut consumer, mut room) = self.next.take()?;
        let enough = n.max(self.len / PIECES);
        while room > enough && room / 2 >= self.min {
            let (left, right, reducer) = consumer.split_at(room / 2);
            let right = Piece { consumer: right, len: room - room / 2, given: Vec::new() };
            self.here().path.push(Split::Ahead(right, reducer));
            (consumer, room) = (left, room / 2);
        }
        Some(Open { folder: consumer.into_folder(), room })
    }

    /// The piece at hand is done, and this came of it.
    fn advance(&mut self, result: C::Result) {
        let path = &mut self.here().path;
        let result = climb(path, result);
        match path.pop() {
            Some(Split::Ahead(piece, reducer)) => {
                path.push(Split::Behind(result, reducer));
                path.extend(piece.given.into_iter().map(Split::Given));
                self.next = Some((piece.consumer, piece.len));
            }
            waiting => {
                path.extend(waiting);
                self.last = Some(result);
            }
        }
    }

    fn eat<P: Producer<Item = T>>(&mut self, producer: P, mut len: usize) {
        let mut to_come = Some(producer);
        while let Some(producer) = to_come {
            let open = if self.skip == 0 { self.open(len) } else { None };
            let n = open.as_ref().map_or(self.skip, |open| open.room).min(len);
            assert!(n > 0, "R3: a part and its source are cut at the same place");
            let front;
            (front, to_come) = split(producer, len, n);
            len -= n;
            self.len -= n;
            match (open, front) {
                (Some(Open { folder, room }), Some(front)) => {
                    // Not by `fold_with`, that of `intersperse` loses the separator at the end of a
                    // piece (rayon 1.12).
                    let (folder, room) = (folder.consume_iter(front.into_iter()), room - n);
                    if room == 0 || folder.full() {
                        // Whether those who come next are full, too, is asked when they come.
                        self.skip = room;
                        self.advance(folder.complete());
                    } else {
                        self.here().folder = Some(Open { folder, room });
                    }
                }
                _ => self.skip -= n,
            }
        }
    }

    /// Where the last piece of the part is in the path, if it is not the one at hand.
    fn end(&self) -> Option<usize> {
        let path = &self.here.as_ref()?.get().path;
        path.iter().position(|split| matches!(split, Split::Ahead(..)))
    }

    /// Tells the source where to cut, when that is to be in the middle.
    fn say_where_to_cut(&self) {
        let Some(cut) = &self.cut else { return };
        let middle = self.len.div_ceil(2);
        let at = match (self.end(), &self.here) {
            (Some(end), Some(here)) => {
                let Split::Ahead(end, _) = &here.get().path[end] else { return };
                let before = self.len - end.len;
                let is_deep = before < end.len / 2;
                let is_fine = middle >= before + self.min && self.len - middle >= self.min;
                if is_deep && is_fine { middle } else { before }
            }
            _ if self.next.is_some() => middle.max(self.skip),
            // Its folder cannot be cut.
            _ => self.len,
        };
        cut.set(at);
    }

    /// Gives the last `len` units away.
    fn give(&mut self, len: usize) -> Self {
        self.len -= len;
        let min = self.min;
        if let Some(end) = self.end() {
            let path = &mut self.here().path;
            let Split::Ahead(mut piece, reducer) = path.remove(end) else {
                unreachable!("a piece is to come")
            };
            piece.len -= len;
            if piece.len == 0 && piece.given.is_empty() {
                path.insert(end, Split::Given(reducer));
                return Part::new(piece.consumer, len, min);
            }
            // Maybe at 0, as rayon does it between blocks; a piece like this has one to its left.
            let (left, right, given) = piece.consumer.split_at(piece.len);
            piece.consumer = left;
            piece.given.push(given);
            path.insert(end, Split::Ahead(piece, reducer));
            return Part::new(right, len, min);
        }
        if let Some((consumer, all)) = self.next.take() {
            let (left, right, reducer) = consumer.split_at(all - len);
            self.here().path.push(Split::Given(reducer));
            self.next = Some((left, all - len));
            return Part::new(right, len, min);
        }
        debug_assert_eq!(len, 0, "R3: what a folder has is not given away");
        Part::void(min)
    }
}

impl<P: Producer, C: plumbing::Consumer<P::Item>> Consumer<Batch<P>> for Part<P::Item, C> {
    type Out = Reduced<P::Item, C>;

    fn split_at(mut self, index: usize) -> (Self, Self) {
        let at = self.cut.as_ref().map_or(index, |cut| cut.near(index));
        let far = self.give(self.len - at);
        self.say_where_to_cut();
        (self, far)
    }

    fn feed(&mut self, batches: impl Iterator<Item = Batch<P>>) {
        batches.for_each(|Batch { producer, len, cut }| {
            self.cut = Some(cut);
            self.eat(producer, len);
            self.say_where_to_cut();
        });
    }

    fn is_full(&self) -> bool {
        if !self.next.as_ref().is_none_or(|(consumer, _)| consumer.full()) {
            return false;
        }
        let Some(here) = &self.here else { return true };
        let Here { folder, path } = here.get();
        folder.as_ref().is_none_or(|open| open.folder.full())
            && path.iter().all(|split| match split {
                Split::Ahead(piece, _) => piece.consumer.full(),
                _ => true,
            })
    }

    fn finish(mut self) -> Self::Out {
        if let Some(here) = &mut self.here
            && let Some(open) = here.get_mut().folder.take()
        {
            self.advance(open.folder.complete());
        }
        while let Some((consumer, _)) = self.next.take() {
            self.advance(consumer.into_folder().complete());
        }
        let path = self.here.map_or_else(Vec::new, |here| here.into_inner().path);
        Reduced::new(self.last, path)
    }

    fn merge(left: Self::Out, right: Self::Out) -> Self::Out {
        let Some(right) = right.into_whole() else { return left };
        let (Some(result), Some(path)) = (left.last, left.path) else {
            unreachable!("the left part has given the right one away")
        };
        let mut path = path.into_inner();
        let Some(Split::Given(reducer)) = path.pop() else {
            unreachable!("R1: what was given away last is merged first")
        };
        let result = climb(&mut path, reducer.reduce(result, right));
        Reduced::new(Some(result), path)
    }
}

/// What came of a part, and of those that it has given away and that are merged.
pub(super) struct Reduced<T, C: plumbing::Consumer<T>> {
    /// `None` if there was no consumer.
    last: Option<C::Result>,
    /// The splits that are not reduced yet, of which the innermost waits for another part. `None`
    /// if there are none: what goes to another thread takes no reducers along.
    path: Option<Pinned<Path<T, C>>>,
}

impl<T, C: plumbing::Consumer<T>> Reduced<T, C> {
    fn new(last: Option<C::Result>, path: Path<T, C>) -> Self {
        Reduced { last, path: (!path.is_empty()).then(|| Pinned::new(path)) }
    }

    /// The result, when all is merged.
    pub(super) fn into_whole(self) -> Option<C::Result> {
        assert!(self.path.is_none(), "R1: every split is reduced");
        self.last
    }
}
