//! libc's allocator, by the module's own. Rust's standard library reads environment variables through libc, which would bring
//! 8,000 bytes of another allocator along.

use std::{
    alloc::{Layout, alloc, alloc_zeroed, dealloc},
    ptr,
};

/// Before each allocation lies its size; it keeps the alignment that C expects.
const HEADER: usize = 16;

fn layout(size: usize) -> Option<Layout> {
    Layout::from_size_align(size.checked_add(HEADER)?, HEADER).ok()
}

/// # Safety
/// None is needed; the ABI has it so.
unsafe fn allocate(size: usize, alloc: unsafe fn(Layout) -> *mut u8) -> *mut u8 {
    let Some(layout) = layout(size) else { return ptr::null_mut() };
    // SAFETY: the layout is not empty.
    let start = unsafe { alloc(layout) };
    if start.is_null() {
        return start;
    }
    // SAFETY: the allocation has room for the header, and is aligned for it.
    unsafe {
        start.cast::<usize>().write(size);
        start.add(HEADER)
    }
}

#[unsafe(no_mangle)]
extern "C" fn malloc(size: usize) -> *mut u8 {
    // SAFETY: see `allocate`.
    unsafe { allocate(size, alloc) }
}

#[unsafe(no_mangle)]
extern "C" fn calloc(count: usize, size: usize) -> *mut u8 {
    // SAFETY: see `allocate`.
    count.checked_mul(size).map_or(ptr::null_mut(), |size| unsafe { allocate(size, alloc_zeroed) })
}

/// # Safety
/// The pointer is null or of [`malloc`], [`calloc`] or [`realloc`], and was not freed.
#[unsafe(no_mangle)]
unsafe extern "C" fn free(pointer: *mut u8) {
    if pointer.is_null() {
        return;
    }
    // SAFETY: `allocate` wrote the size there, and made the allocation with its layout.
    unsafe {
        let start = pointer.sub(HEADER);
        if let Some(layout) = layout(start.cast::<usize>().read()) {
            dealloc(start, layout);
        }
    }
}

/// # Safety
/// As of [`free`].
#[unsafe(no_mangle)]
unsafe extern "C" fn realloc(pointer: *mut u8, size: usize) -> *mut u8 {
    let new = malloc(size);
    if !pointer.is_null() && !new.is_null() {
        // SAFETY: both have at least the smaller of the two sizes, and do not overlap.
        unsafe {
            let old = pointer.sub(HEADER).cast::<usize>().read();
            ptr::copy_nonoverlapping(pointer, new, old.min(size));
            free(pointer);
        }
    }
    new
}

/// libc's own name for it, as those below.
#[unsafe(no_mangle)]
extern "C" fn __libc_malloc(size: usize) -> *mut u8 {
    malloc(size)
}

#[unsafe(no_mangle)]
extern "C" fn __libc_calloc(count: usize, size: usize) -> *mut u8 {
    calloc(count, size)
}

/// # Safety
/// As of [`free`].
#[unsafe(no_mangle)]
unsafe extern "C" fn __libc_free(pointer: *mut u8) {
    // SAFETY: by the same contract.
    unsafe { free(pointer) }
}

/// Nothing calls it; without it the linker would take libc's allocator as a whole. No memory is aligned so.
#[unsafe(no_mangle)]
extern "C" fn posix_memalign(_pointer: *mut *mut u8, _alignment: usize, _size: usize) -> std::ffi::c_int {
    const ENOMEM: std::ffi::c_int = 48;
    ENOMEM
}
