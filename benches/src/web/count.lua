-- For wrk: counts the requests, as a double in a file that others read meanwhile.
local ffi = require("ffi")

ffi.cdef [[
int open(const char *path, int flags, ...);
void *mmap(void *addr, size_t length, int prot, int flags, int fd, long offset);
]]

local READ_WRITE, PROT_READ_WRITE, MAP_SHARED = 2, 3, 1

local file = ffi.C.open(os.getenv("COUNT"), READ_WRITE)
assert(file >= 0, "the count cannot be opened")
local count = ffi.cast("double *", ffi.C.mmap(nil, 8, PROT_READ_WRITE, MAP_SHARED, file, 0))
local text

function init()
    text = wrk.format()
end

function request()
    count[0] = count[0] + 1
    return text
end
