//! Where bodies lie: small ones in the word of their node's record, others one after the other in
//! large blocks. What has a destructor is listed, to be dropped with the graph.

use super::frozen::Word;
use crate::engine::unwind;
use std::alloc::{Layout, alloc, dealloc, handle_alloc_error};
use std::mem::needs_drop;
use std::ptr::{self, NonNull};

const BLOCK: usize = 1 << 16;

/// Drops the value that lies there.
type DropAt = unsafe fn(*mut ());

/// See the module.
pub(super) struct Arena {
    blocks: Vec<(NonNull<u8>, Layout)>,
    next: *mut u8,
    left: usize,
    drops: Vec<(*mut (), DropAt)>,
}

// SAFETY: it holds values that are Send and Sync: the bound stands at `put`.
unsafe impl Send for Arena {}
// SAFETY: as above.
unsafe impl Sync for Arena {}

/// Whether a value lies in the word itself. One that is dropped does not: words move.
const fn is_small<T>() -> bool {
    size_of::<T>() <= size_of::<Word>()
        && align_of::<T>() <= align_of::<Word>()
        && !needs_drop::<T>()
}

impl Arena {
    pub(super) fn new() -> Arena {
        Arena { blocks: Vec::new(), next: ptr::null_mut(), left: 0, drops: Vec::new() }
    }

    /// Puts a value away; [`get`] finds it.
    #[inline]
    pub(super) fn put<T: Send + Sync + 'static>(&mut self, value: T) -> Word {
        let mut word = Word::uninit();
        if is_small::<T>() {
            // SAFETY: it fits.
            unsafe { word.as_mut_ptr().cast::<T>().write(value) };
            return word;
        }
        let at = self.place(Layout::new::<T>()).cast::<T>();
        // SAFETY: a place of its own.
        unsafe { at.write(value) };
        word.write(at.cast_const().cast());
        if needs_drop::<T>() {
            unsafe fn drop_at<T>(at: *mut ()) {
                // SAFETY: it was put there and is dropped once, with the arena.
                unwind::drop_quietly(unsafe { at.cast::<T>().read() });
            }
            self.drops.push((at.cast(), drop_at::<T>));
        }
        word
    }

    fn place(&mut self, layout: Layout) -> *mut u8 {
        let padding = self.next.align_offset(layout.align());
        if self.next.is_null() || padding.saturating_add(layout.size()) > self.left {
            return self.place_in_new_block(layout);
        }
        self.left -= padding + layout.size();
        // SAFETY: there is so much left.
        let at = unsafe { self.next.byte_add(padding) };
        // SAFETY: as above.
        self.next = unsafe { at.byte_add(layout.size()) };
        at
    }

    #[cold]
    fn place_in_new_block(&mut self, layout: Layout) -> *mut u8 {
        let size = layout.size().max(BLOCK);
        let block = Layout::from_size_align(size, layout.align()).expect("a value has this layout");
        // SAFETY: of a size.
        let Some(at) = NonNull::new(unsafe { alloc(block) }) else { handle_alloc_error(block) };
        self.blocks.push((at, block));
        self.left = size - layout.size();
        // SAFETY: within the block, or at its end.
        self.next = unsafe { at.as_ptr().byte_add(layout.size()) };
        at.as_ptr()
    }
}

impl Drop for Arena {
    fn drop(&mut self) {
        for &(at, drop) in &self.drops {
            // SAFETY: put there by `put`, and nobody uses it any more.
            unsafe { drop(at) };
        }
        for &(at, layout) in &self.blocks {
            // SAFETY: allocated like this.
            unsafe { dealloc(at.as_ptr(), layout) };
        }
    }
}

/// The value that a word holds or points to.
///
/// # Safety
/// The word is from [`Arena::put`] of a `T`, and the arena lives.
#[inline(always)]
pub(super) unsafe fn get<T>(word: &Word) -> &T {
    let inside: *const T = ptr::from_ref(word).cast();
    let at = if is_small::<T>() {
        inside
    } else {
        // SAFETY: `put` has written a pointer.
        unsafe { word.assume_init_read() }.cast()
    };
    // SAFETY: by contract.
    unsafe { &*at }
}
