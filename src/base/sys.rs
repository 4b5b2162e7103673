//! The system calls and instructions that std and mio do not offer. `unsafe` by name: every block here wraps
//! one foreign call or one instruction, and takes and gives only safe types.
#![allow(unsafe_code)]
use std::io;

/// The processor's time stamp counter, where it is one that always ticks at the same rate.
///
/// 8–20 ns against 20–40 ns of a clock read, which is why single commands are timed with it.
#[inline]
pub fn time_stamp() -> u64 {
    #[cfg(target_arch = "x86_64")]
    {
        // SAFETY: every x86-64 processor has RDTSC; it reads a register and touches no memory.
        unsafe { std::arch::x86_64::_rdtsc() }
    }
    #[cfg(not(target_arch = "x86_64"))]
    {
        monotonic_nanos()
    }
}

/// Nanoseconds of the monotonic clock.
#[inline]
pub fn monotonic_nanos() -> u64 {
    let mut time = libc::timespec { tv_sec: 0, tv_nsec: 0 };
    // SAFETY: `time` is a valid timespec to write to; CLOCK_MONOTONIC exists on every supported system.
    unsafe { libc::clock_gettime(libc::CLOCK_MONOTONIC, &mut time) };
    time.tv_sec as u64 * 1_000_000_000 + time.tv_nsec as u64
}

/// A number that changes every few milliseconds, with the timer of the kernel: 1 to 10 ms on Linux, about 1 ms
/// elsewhere. 5 ns, and unlike [`time_stamp`] it does not make the processor wait for what it has under way.
#[inline]
pub fn coarse_time() -> u64 {
    #[cfg(target_os = "linux")]
    {
        let mut time = libc::timespec { tv_sec: 0, tv_nsec: 0 };
        // SAFETY: `time` is a valid timespec to write to; every Linux since 2.6.32 has this clock.
        unsafe { libc::clock_gettime(libc::CLOCK_MONOTONIC_COARSE, &mut time) };
        (time.tv_sec as u64) << 30 | time.tv_nsec as u64
    }
    #[cfg(not(target_os = "linux"))]
    {
        monotonic_nanos() >> 20
    }
}

/// Soft and hard limit of open files.
pub fn open_files_limit() -> io::Result<(u64, u64)> {
    let mut limit = libc::rlimit { rlim_cur: 0, rlim_max: 0 };
    // SAFETY: `limit` is a valid rlimit to write to.
    match unsafe { libc::getrlimit(libc::RLIMIT_NOFILE, &mut limit) } {
        0 => Ok((limit.rlim_cur, limit.rlim_max)),
        _ => Err(io::Error::last_os_error()),
    }
}

/// Sets the soft limit of open files, and the hard one where it would be below it.
pub fn set_open_files_limit(soft: u64) -> io::Result<()> {
    let (_, hard) = open_files_limit()?;
    let limit =
        libc::rlimit { rlim_cur: soft as libc::rlim_t, rlim_max: hard.max(soft) as libc::rlim_t };
    // SAFETY: `limit` is a valid rlimit to read from.
    match unsafe { libc::setrlimit(libc::RLIMIT_NOFILE, &limit) } {
        0 => Ok(()),
        _ => Err(io::Error::last_os_error()),
    }
}

/// Processor time used so far, in microseconds.
#[derive(Clone, Copy, Debug, Default)]
pub struct CpuTime {
    /// In user mode.
    pub user_us: u64,
    /// In the kernel.
    pub system_us: u64,
}

/// Whose processor time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CpuOf {
    /// This process.
    Process,
    /// Its ended children.
    Children,
    /// The calling thread.
    Thread,
}

/// Processor time of the process, its children or this thread.
pub fn cpu_time(of: CpuOf) -> CpuTime {
    let who = match of {
        CpuOf::Process => libc::RUSAGE_SELF,
        CpuOf::Children => libc::RUSAGE_CHILDREN,
        #[cfg(target_os = "linux")]
        CpuOf::Thread => libc::RUSAGE_THREAD,
        #[cfg(not(target_os = "linux"))]
        CpuOf::Thread => libc::RUSAGE_SELF,
    };
    // SAFETY: an all-zero rusage is a valid value: it has only integers.
    let mut usage: libc::rusage = unsafe { std::mem::zeroed() };
    // SAFETY: `usage` is a valid rusage to write to.
    if unsafe { libc::getrusage(who, &mut usage) } != 0 {
        return CpuTime::default();
    }
    let micros = |time: libc::timeval| time.tv_sec as u64 * 1_000_000 + time.tv_usec as u64;
    CpuTime { user_us: micros(usage.ru_utime), system_us: micros(usage.ru_stime) }
}

/// `sysname release machine` of the running kernel.
pub fn os_name() -> String {
    // SAFETY: an all-zero utsname is a valid value: it has only character arrays.
    let mut name: libc::utsname = unsafe { std::mem::zeroed() };
    // SAFETY: `name` is a valid utsname to write to.
    if unsafe { libc::uname(&mut name) } != 0 {
        return "unknown".to_owned();
    }
    let text = |field: &[libc::c_char]| -> String {
        field.iter().take_while(|&&c| c != 0).map(|&c| c as u8 as char).collect()
    };
    format!("{} {} {}", text(&name.sysname), text(&name.release), text(&name.machine))
}

/// Bytes of physical memory in the machine.
pub fn memory_total() -> u64 {
    // SAFETY: sysconf reads a number; an unknown name gives -1.
    let (pages, size) =
        unsafe { (libc::sysconf(libc::_SC_PHYS_PAGES), libc::sysconf(libc::_SC_PAGESIZE)) };
    if pages > 0 && size > 0 { pages as u64 * size as u64 } else { 0 }
}

/// Size of a memory page in bytes.
pub fn page_bytes() -> u64 {
    // SAFETY: sysconf reads a number.
    let size = unsafe { libc::sysconf(libc::_SC_PAGESIZE) };
    if size > 0 { size as u64 } else { 4096 }
}

/// Makes malloc behave: one arena (there is one thread), a fixed threshold above which blocks are mapped
/// and so returned when freed (by default glibc raises it to the largest block ever freed), and small blocks joined
/// with their free neighbours when they are freed. By default those wait in lists for the next large block that is
/// asked for, which then pays for all of them: 4 ms after 200,000 queued commands.
pub fn tune_malloc() {
    #[cfg(all(target_os = "linux", target_env = "gnu"))]
    {
        // Below it freed blocks are used again without page faults: a 1 MiB value would cost 256 of them.
        const MAPPED_FROM_BYTES: libc::c_int = 4 << 20;
        // SAFETY: mallopt only sets parameters of the allocator; called before other threads exist.
        unsafe {
            libc::mallopt(libc::M_ARENA_MAX, 1);
            libc::mallopt(libc::M_MXFAST, 0);
            libc::mallopt(libc::M_MMAP_THRESHOLD, MAPPED_FROM_BYTES);
            libc::mallopt(libc::M_TRIM_THRESHOLD, MAPPED_FROM_BYTES);
        }
    }
}

/// Returns what malloc holds free at its top to the system (MEMORY PURGE). May take milliseconds.
pub fn trim_malloc() {
    #[cfg(all(target_os = "linux", target_env = "gnu"))]
    // SAFETY: malloc_trim has no preconditions.
    unsafe {
        libc::malloc_trim(0);
    }
}

/// Number of processors this process may run on.
pub fn processors_allowed() -> usize {
    std::thread::available_parallelism().map_or(1, usize::from)
}

/// A point in time by the local calendar.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LocalTime {
    /// Such as 2026.
    pub year: i32,
    /// 0 is January.
    pub month: i32,
    /// 1 to 31.
    pub day: i32,
    /// 0 to 23.
    pub hour: i32,
    /// 0 to 59.
    pub minute: i32,
    /// 0 to 60.
    pub second: i32,
}

/// The local calendar's time for seconds since 1970.
pub fn local_time(unix_seconds: i64) -> LocalTime {
    let seconds = unix_seconds as libc::time_t;
    // SAFETY: an all-zero tm is a valid value: integers and a null zone name.
    let mut fields: libc::tm = unsafe { std::mem::zeroed() };
    // SAFETY: both point to valid values; localtime_r keeps nothing of them.
    unsafe { libc::localtime_r(&seconds, &mut fields) };
    LocalTime {
        year: fields.tm_year + 1900,
        month: fields.tm_mon,
        day: fields.tm_mday,
        hour: fields.tm_hour,
        minute: fields.tm_min,
        second: fields.tm_sec,
    }
}

/// The memory in which the system looks for what it shows as this process's arguments (`ps`).
#[derive(Debug)]
pub struct TitleArea {
    /// Where it begins; a number, so that the area can go to another thread.
    address: usize,
    len: usize,
}

impl TitleArea {
    /// Takes it over; `None` where the system has no such thing, or it was taken before. The environment moves
    /// elsewhere; what std knows as the arguments reads as the title from then on. For a program that has no other
    /// threads yet.
    pub fn take() -> Option<TitleArea> {
        static IS_TAKEN: std::sync::atomic::AtomicBool = std::sync::atomic::AtomicBool::new(false);
        let (address, len) = title_place()?;
        if IS_TAKEN.swap(true, std::sync::atomic::Ordering::Relaxed) {
            return None;
        }
        for (name, value) in std::env::vars_os() {
            // SAFETY: the caller has no other thread that could look at the environment meanwhile.
            unsafe { std::env::set_var(name, value) };
        }
        Some(TitleArea { address, len })
    }

    /// Shows this title, as far as there is room for it.
    pub fn set(&mut self, title: &[u8]) {
        let shown = &title[..title.len().min(self.len - 1)];
        let area = std::ptr::with_exposed_provenance_mut::<u8>(self.address);
        // SAFETY: `title_place` has found `len` bytes there, on the stack of the process, which are mapped and
        // writable as long as it lives. Nothing of ours refers to them any more; C code that still does finds
        // strings that end, since the last byte is 0. Only this value writes there, and there is one.
        unsafe {
            std::ptr::write_bytes(area, 0, self.len);
            std::ptr::copy_nonoverlapping(shown.as_ptr(), area, shown.len());
        }
    }
}

/// Where the arguments and the environment stand, if they stand where the system says they do.
#[cfg(target_os = "linux")]
fn title_place() -> Option<(usize, usize)> {
    let stat = std::fs::read_to_string("/proc/self/stat").ok()?;
    // The name in parentheses may contain anything; behind it is field 3. Fields 48 to 51 (proc(5)) are the bounds.
    let (_, fields) = stat.rsplit_once(')')?;
    let bounds: Vec<usize> = fields
        .split_ascii_whitespace()
        .skip(45)
        .take(4)
        .map_while(|field| field.parse().ok())
        .collect();
    let &[arguments_start, arguments_end, environment_start, environment_end] = &bounds[..] else {
        return None;
    };
    // Under valgrind these are valgrind's own.
    let known: Vec<u8> = std::env::args_os()
        .flat_map(|arg| [std::os::unix::ffi::OsStrExt::as_bytes(&*arg), b"\0"].concat())
        .collect();
    let is_ours = std::fs::read("/proc/self/cmdline").is_ok_and(|shown| shown == known);
    let is_whole = arguments_end == environment_start && environment_end >= environment_start;
    let end = if is_whole { environment_end } else { arguments_end };
    let len = end.checked_sub(arguments_start)?;
    (is_ours && arguments_start != 0 && len > 1).then_some((arguments_start, len))
}

/// Other systems are not asked.
#[cfg(not(target_os = "linux"))]
fn title_place() -> Option<(usize, usize)> {
    None
}

/// Sets the mask of permissions for files this process makes, and returns the one before.
pub fn set_umask(mask: u32) -> u32 {
    // SAFETY: umask always succeeds; it affects only this process.
    unsafe { libc::umask(mask as libc::mode_t) as u32 }
}

/// Reads at most `limit` bytes behind the end of `into`, as far as it has room, without zeroing that room
/// first (which `std::io::Read` cannot do). Gives how many came; 0 is the end of the stream.
pub fn read_to_spare(
    file: std::os::fd::BorrowedFd<'_>,
    into: &mut Vec<u8>,
    limit: usize,
) -> io::Result<usize> {
    use std::os::fd::AsRawFd;
    let spare = into.spare_capacity_mut();
    let wanted = spare.len().min(limit);
    // SAFETY: the descriptor is open while borrowed, and `wanted` bytes from `spare` on are ours to
    // write to, initialised or not.
    let got = unsafe { libc::read(file.as_raw_fd(), spare.as_mut_ptr().cast(), wanted) };
    let got = usize::try_from(got).map_err(|_| io::Error::last_os_error())?;
    let len = into.len() + got;
    // SAFETY: the system has written `got` bytes behind the old length, within the capacity.
    unsafe { into.set_len(len) };
    Ok(got)
}

/// A one-shot timer that a poll can wait for (Linux's timerfd). Against a timeout handed to every
/// poll it saves the kernel setting one up and taking it down each time: some 100 ns a turn.
#[derive(Debug)]
pub struct Alarm {
    fd: std::os::fd::OwnedFd,
}

impl Alarm {
    /// A timer that is not set. An error where the system has none: use timeouts then.
    #[cfg(target_os = "linux")]
    pub fn new() -> io::Result<Alarm> {
        use std::os::fd::FromRawFd;
        let flags = libc::TFD_NONBLOCK | libc::TFD_CLOEXEC;
        // SAFETY: timerfd_create takes numbers only.
        let fd = unsafe { libc::timerfd_create(libc::CLOCK_MONOTONIC, flags) };
        if fd < 0 {
            return Err(io::Error::last_os_error());
        }
        // SAFETY: `fd` is open and nobody else owns it.
        Ok(Alarm { fd: unsafe { std::os::fd::OwnedFd::from_raw_fd(fd) } })
    }

    /// A timer that is not set. An error where the system has none: use timeouts then.
    #[cfg(not(target_os = "linux"))]
    pub fn new() -> io::Result<Alarm> {
        Err(io::ErrorKind::Unsupported.into())
    }

    /// Makes it readable once, after `delay`; forgets what it was set to and whether it has fired.
    #[cfg(target_os = "linux")]
    pub fn set(&self, delay: std::time::Duration) -> io::Result<()> {
        use std::os::fd::AsRawFd;
        // A zero would disarm it.
        let nanos = delay.as_nanos().max(1);
        let value = libc::timespec {
            tv_sec: (nanos / 1_000_000_000) as libc::time_t,
            tv_nsec: (nanos % 1_000_000_000) as libc::c_long,
        };
        let once = libc::timespec { tv_sec: 0, tv_nsec: 0 };
        let setting = libc::itimerspec { it_interval: once, it_value: value };
        // SAFETY: `setting` is valid to read, and a null pointer asks for no old value.
        let failed = unsafe {
            libc::timerfd_settime(self.fd.as_raw_fd(), 0, &setting, std::ptr::null_mut()) != 0
        };
        if failed { Err(io::Error::last_os_error()) } else { Ok(()) }
    }

    /// Makes it readable once, after `delay`; forgets what it was set to and whether it has fired.
    #[cfg(not(target_os = "linux"))]
    pub fn set(&self, _delay: std::time::Duration) -> io::Result<()> {
        Err(io::ErrorKind::Unsupported.into())
    }
}

impl std::os::fd::AsRawFd for Alarm {
    fn as_raw_fd(&self) -> std::os::fd::RawFd {
        self.fd.as_raw_fd()
    }
}

/// What [`fork`] made of this process.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Forked {
    /// It is the one that called, and this is the other's process id.
    Parent(i32),
    /// It is the new one.
    Child,
}

/// Splits this process in two: memory is shared until one of them writes to it, open files are shared for good.
///
/// # Errors
/// There is no room for another process, or this one has several threads: the others would be gone in the child, with
/// what they hold locked.
pub fn fork() -> io::Result<Forked> {
    if thread_count()? != 1 {
        return Err(io::Error::other("the process has several threads"));
    }
    // SAFETY: this is the only thread, so the child is left with nothing that another one had under way.
    match unsafe { libc::fork() } {
        0 => Ok(Forked::Child),
        -1 => Err(io::Error::last_os_error()),
        pid => Ok(Forked::Parent(pid)),
    }
}

/// Threads of this process; where the system does not tell, 1.
fn thread_count() -> io::Result<usize> {
    if cfg!(target_os = "linux") {
        Ok(std::fs::read_dir("/proc/self/task")?.count())
    } else {
        Ok(1)
    }
}

/// Whether a child has ended, which then is forgotten by the system, too.
pub fn has_ended(pid: i32) -> bool {
    // SAFETY: a null pointer asks for no status; a wrong pid is an error.
    let got = unsafe { libc::waitpid(pid, std::ptr::null_mut(), libc::WNOHANG) };
    got == pid || (got == -1 && io::Error::last_os_error().raw_os_error() == Some(libc::ECHILD))
}

/// Kills a child at once and waits for its end.
pub fn kill_child(pid: i32) {
    // SAFETY: both calls take numbers, and a null pointer asks for no status.
    unsafe {
        libc::kill(pid, libc::SIGKILL);
        libc::waitpid(pid, std::ptr::null_mut(), 0);
    }
}

/// Has this process ignore SIGTERM and SIGINT: a child's end is for its parent to decide.
pub fn ignore_end_signals() {
    // SAFETY: SIG_IGN is a valid disposition; no handler of ours runs for these any more.
    unsafe {
        libc::signal(libc::SIGTERM, libc::SIG_IGN);
        libc::signal(libc::SIGINT, libc::SIG_IGN);
    }
}

/// Ends this process at once: nothing is flushed, dropped or called before.
pub fn exit_now(code: i32) -> ! {
    // SAFETY: _exit does not return, so nothing is used after it.
    unsafe { libc::_exit(code) }
}

/// Closes all sockets of this process but `kept` and the standard streams: while they are open here, what the parent
/// closes stays open for its peers. For a child alone, which has those of its parent and ends by [`exit_now`], so that
/// no owner closes a descriptor again.
pub fn close_sockets_but(kept: std::os::fd::RawFd) {
    let Ok(files) = std::fs::read_dir("/dev/fd") else { return };
    let numbers = files.flatten().filter_map(|file| file.file_name().to_str()?.parse().ok());
    let numbers: Vec<std::os::fd::RawFd> = numbers.filter(|&fd| fd != kept && fd > 2).collect();
    for fd in numbers {
        // SAFETY: an all-zero stat is a valid value: integers only.
        let mut stat: libc::stat = unsafe { std::mem::zeroed() };
        // SAFETY: `stat` is valid to write to; a closed descriptor is an error.
        let is_known = unsafe { libc::fstat(fd, &mut stat) } == 0;
        if is_known && stat.st_mode & libc::S_IFMT == libc::S_IFSOCK {
            // SAFETY: the caller's process uses no socket but `kept` from here on.
            unsafe { libc::close(fd) };
        }
    }
}

/// Another descriptor of an open file, closed when dropped.
///
/// # Errors
/// It is not open, or there are too many.
pub fn duplicate(fd: std::os::fd::RawFd) -> io::Result<std::os::fd::OwnedFd> {
    use std::os::fd::FromRawFd;
    // SAFETY: fcntl takes numbers here; a closed descriptor is an error.
    let new = unsafe { libc::fcntl(fd, libc::F_DUPFD_CLOEXEC, 0) };
    if new < 0 {
        return Err(io::Error::last_os_error());
    }
    // SAFETY: `new` is open and nobody else owns it.
    Ok(unsafe { std::os::fd::OwnedFd::from_raw_fd(new) })
}

/// What [`wait_for`] waits for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ready {
    /// Something can be read, or the peer has gone.
    Read,
    /// Something can be written, or the peer has gone.
    Write,
}

/// Waits until a file is ready; `false` after so long, or after a signal.
///
/// # Errors
/// What poll(2) says.
pub fn wait_for(
    file: std::os::fd::BorrowedFd<'_>,
    what: Ready,
    timeout: std::time::Duration,
) -> io::Result<bool> {
    use std::os::fd::AsRawFd;
    let events = if what == Ready::Read { libc::POLLIN } else { libc::POLLOUT };
    let mut entry = libc::pollfd { fd: file.as_raw_fd(), events, revents: 0 };
    let timeout_ms = i32::try_from(timeout.as_millis()).unwrap_or(i32::MAX);
    // SAFETY: `entry` is one valid pollfd to read and write.
    match unsafe { libc::poll(&mut entry, 1, timeout_ms) } {
        -1 => match io::Error::last_os_error() {
            error if error.kind() == io::ErrorKind::Interrupted => Ok(false),
            error => Err(error),
        },
        count => Ok(count > 0),
    }
}

/// An interpreter with these libraries of Lua and `debug`. Whoever asks for one takes what it needs of `debug` and
/// then that library out of the globals, before any script runs.
pub fn lua_with_debug(libraries: mlua::StdLib) -> mlua::Lua {
    let libraries = libraries | mlua::StdLib::DEBUG;
    // SAFETY: no library loads modules of C, and the part of `debug` that could break the interpreter (`setlocal`,
    // `sethook`, `setmetatable`) is called by nobody: it goes before scripts come.
    unsafe { mlua::Lua::unsafe_new_with(libraries, mlua::LuaOptions::new()) }
}
