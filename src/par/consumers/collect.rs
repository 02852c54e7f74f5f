//! Consumers that keep the items: in place where each item's position is known beforehand, else in
//! pieces that are put together at the end.

use super::Consumer;
use std::marker::PhantomData;

/// A run of results that were written into the output. Dropping it drops them.
pub(crate) struct Filled<R> {
    first: *mut R,
    len: usize,
    marker: PhantomData<R>,
}

// SAFETY: it owns the results in its run, and nothing else refers to them.
unsafe impl<R: Send> Send for Filled<R> {}

impl<R> Filled<R> {
    fn new(first: *mut R) -> Self {
        Filled { first, len: 0, marker: PhantomData }
    }

    /// Leaves the results to the owner of the output, and says how many they are.
    pub(crate) fn release(self) -> usize {
        let len = self.len;
        std::mem::forget(self);
        len
    }

    /// The run that begins `index` items after the end of this one.
    fn after(&self, index: usize) -> Self {
        Filled::new(self.first.wrapping_add(self.len + index))
    }

    /// Two neighbouring runs become one. If the left one is not full (its loop was ended early),
    /// the right one is dropped.
    fn merge(mut self, right: Self) -> Self {
        if std::ptr::eq(self.first.wrapping_add(self.len), right.first) {
            self.len += right.release();
        }
        self
    }
}

impl<R> Drop for Filled<R> {
    fn drop(&mut self) {
        let run = std::ptr::slice_from_raw_parts_mut(self.first, self.len);
        // SAFETY: the run is initialised and ours.
        unsafe { run.drop_in_place() };
    }
}

/// Counts results as they are written, in a register: the run learns of them at the end, or when
/// the loop unwinds.
struct Writer<'a, R> {
    filled: &'a mut Filled<R>,
    /// A copy, which the compiler can tell from what is written.
    first: *mut R,
    count: usize,
}

impl<'a, R> Writer<'a, R> {
    #[inline(always)]
    fn new(filled: &'a mut Filled<R>) -> Self {
        let (first, count) = (filled.first, filled.len);
        Writer { filled, first, count }
    }

    /// # Safety
    /// The run has room for one more.
    #[inline(always)]
    unsafe fn push(&mut self, value: R) {
        // SAFETY: by contract within the output, and not initialised yet.
        unsafe { self.first.add(self.count).write(value) };
        self.count += 1;
    }
}

impl<R> Drop for Writer<'_, R> {
    #[inline(always)]
    fn drop(&mut self) {
        self.filled.len = self.count;
    }
}

/// Writes each item to its place in the output.
pub(crate) struct InPlace<T>(Filled<T>);

impl<T> InPlace<T> {
    /// # Safety
    /// `first` points to room for as many items as the source has units, which is exact, and the
    /// room outlives the loop.
    pub(crate) unsafe fn new(first: *mut T) -> Self {
        InPlace(Filled::new(first))
    }
}

impl<T: Send> Consumer<T> for InPlace<T> {
    type Out = Filled<T>;
    fn split_at(self, index: usize) -> (Self, Self) {
        let right = InPlace(self.0.after(index));
        (self, right)
    }
    #[inline]
    fn feed(&mut self, items: impl Iterator<Item = T>) {
        let mut writer = Writer::new(&mut self.0);
        // SAFETY: the output has room for every unit of the source (`new`), and an exact source
        // yields no more items than it eats units (`Source`), so this part writes only its own.
        items.for_each(|item| unsafe { writer.push(item) });
    }
    fn finish(self) -> Filled<T> {
        self.0
    }
    fn merge(left: Filled<T>, right: Filled<T>) -> Filled<T> {
        left.merge(right)
    }
}

/// Writes the halves of each item to their places in two outputs.
pub(crate) struct TwoInPlace<A, B>(Filled<A>, Filled<B>);

impl<A, B> TwoInPlace<A, B> {
    /// # Safety
    /// As [`InPlace::new`], for both.
    pub(crate) unsafe fn new(a: *mut A, b: *mut B) -> Self {
        TwoInPlace(Filled::new(a), Filled::new(b))
    }
}

impl<A: Send, B: Send> Consumer<(A, B)> for TwoInPlace<A, B> {
    type Out = (Filled<A>, Filled<B>);
    fn split_at(self, index: usize) -> (Self, Self) {
        let right = TwoInPlace(self.0.after(index), self.1.after(index));
        (self, right)
    }
    #[inline]
    fn feed(&mut self, items: impl Iterator<Item = (A, B)>) {
        let (mut to_a, mut to_b) = (Writer::new(&mut self.0), Writer::new(&mut self.1));
        items.for_each(|(a, b)| {
            // SAFETY: as in `InPlace::feed`.
            unsafe { to_a.push(a) };
            // SAFETY: as above.
            unsafe { to_b.push(b) };
        });
    }
    fn finish(self) -> Self::Out {
        (self.0, self.1)
    }
    fn merge(left: Self::Out, right: Self::Out) -> Self::Out {
        (left.0.merge(right.0), left.1.merge(right.1))
    }
}

/// Keeps the items of each part in a vector of its own. A loop that nobody shares is one part.
pub(crate) struct Pieces<T>(Vec<T>);

impl<T> Pieces<T> {
    pub(crate) fn new() -> Self {
        Pieces(Vec::new())
    }
}

/// One vector for most loops, in a list for those that were split.
fn list<T>(piece: Vec<T>) -> Vec<Vec<T>> {
    if piece.is_empty() { Vec::new() } else { vec![piece] }
}

/// Appends to the longer list.
fn append<T>(mut left: Vec<T>, mut right: Vec<T>) -> Vec<T> {
    if left.is_empty() {
        return right;
    }
    left.append(&mut right);
    left
}

impl<T: Send> Consumer<T> for Pieces<T> {
    type Out = Vec<Vec<T>>;
    fn split_at(self, _: usize) -> (Self, Self) {
        (self, Pieces::new())
    }
    #[inline]
    fn feed(&mut self, items: impl Iterator<Item = T>) {
        self.0.reserve(items.size_hint().0);
        // Not `extend`, which asks for one item after the other.
        items.for_each(|item| self.0.push(item));
    }
    fn finish(self) -> Self::Out {
        list(self.0)
    }
    fn merge(left: Self::Out, right: Self::Out) -> Self::Out {
        append(left, right)
    }
}

/// Keeps left and right items apart.
pub(crate) struct TwoPieces<'a, A, B, F> {
    split: &'a F,
    a: Vec<A>,
    b: Vec<B>,
}

impl<'a, A, B, F> TwoPieces<'a, A, B, F> {
    /// `split` says what to keep of an item on either side.
    pub(crate) fn new(split: &'a F) -> Self {
        TwoPieces { split, a: Vec::new(), b: Vec::new() }
    }
}

impl<T, A, B, F> Consumer<T> for TwoPieces<'_, A, B, F>
where
    A: Send,
    B: Send,
    F: Fn(T) -> (Option<A>, Option<B>) + Sync,
{
    type Out = (Vec<Vec<A>>, Vec<Vec<B>>);
    fn split_at(self, _: usize) -> (Self, Self) {
        let right = TwoPieces::new(self.split);
        (self, right)
    }
    #[inline]
    fn feed(&mut self, items: impl Iterator<Item = T>) {
        items.for_each(|item| {
            let (a, b) = (self.split)(item);
            self.a.extend(a);
            self.b.extend(b);
        });
    }
    fn finish(self) -> Self::Out {
        (list(self.a), list(self.b))
    }
    fn merge(left: Self::Out, right: Self::Out) -> Self::Out {
        (append(left.0, right.0), append(left.1, right.1))
    }
}
