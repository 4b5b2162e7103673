-- The world scripts see: Lua's own functions that are allowed, behind tables nobody can change.
--
-- Lua 5.1 has no read-only tables. A table to be protected is hidden behind an empty one, its shadow, whose metatable
-- reads from it and refuses writes. What would look past a metatable (next, pairs, rawget, rawset, getmetatable,
-- setmetatable) knows shadows: those are functions of Rust (`basics.rs`). Compiled once per interpreter; `native`
-- holds Lua's globals, `host` functions of Rust.
local native, host = ...
local error, type, tostring, next = native.error, native.type, native.tostring, native.next
local pcall, xpcall = native.pcall, native.xpcall
local setmetatable, loadstring = native.setmetatable, native.loadstring
local concat, byte = native.table.concat, native.string.byte
local plain, doomed, changed, missing = host.plain, host.doomed, host.changed, host.missing

local sources = {}    -- shadow -> what is behind it
local shadows = {}    -- what is behind a shadow -> the shadow
local metatables = {} -- shadow -> the metatable scripts see, itself a shadow

local function protect(source, metatable)
    if shadows[source] then return shadows[source] end
    local shadow = {}
    shadows[source], sources[shadow] = shadow, source
    for key, value in next, source do
        if type(value) == 'table' and not sources[value] then source[key] = protect(value) end
    end
    metatables[shadow] = metatable
    return setmetatable(shadow, {__index = source, __newindex = changed})
end

local world = {_VERSION = native._VERSION}
for _, name in native.ipairs({'assert', 'collectgarbage', 'error', 'gcinfo', 'ipairs', 'rawequal', 'select',
    'tonumber', 'tostring', 'type', 'unpack'}) do
    world[name] = native[name]
end
for _, name in native.ipairs({'coroutine', 'string', 'table', 'math'}) do
    local copy = {}
    for key, value in next, native[name] do copy[key] = value end
    world[name] = copy
end

local string_metatable = protect({__index = world.string})

-- An error is a table here; who catches it with pcall gets its text, as before Redis 7.
local function caught(ok, ...)
    if ok then return ok, ... end
    local err = plain((...))
    if type(err) == 'table' then
        local text = err.err
        if type(text) == 'string' or type(text) == 'number' then err = text end
    end
    return ok, err
end

function world.pcall(f, ...)
    return caught(pcall(f, ...))
end

-- Lua calls a handler without looking at the time: none runs in a script that is being ended.
local function guarded(handler)
    return function(err)
        err = plain(err)
        if doomed() then return err end
        return handler(err)
    end
end

-- Compiled code can do anything to the process: only text is taken.
local function gather(source)
    local pieces = {}
    while true do
        local piece = source()
        if type(piece) == 'number' then piece = tostring(piece) end
        if piece == nil or piece == '' then return concat(pieces) end
        if type(piece) ~= 'string' then error('reader function must return a string', 5) end
        pieces[#pieces + 1] = piece
    end
end

-- What goes wrong in the reader is a result, and by then it is a table as all errors are.
local function load(source, name)
    local ok, text = pcall(gather, source)
    if not ok then
        text = plain(text)
        if type(text) == 'string' then text = {err = 'ERR ' .. text} end
        return nil, text
    end
    if byte(text) == 27 then return nil, 'bad header in precompiled chunk' end
    return loadstring(text, name or '=(load)')
end

host.basics(native, world, {sources = sources, metatables = metatables, string_metatable = string_metatable,
    guarded = guarded, load = load, plain = plain})

world.math.random, world.math.randomseed = host.random, host.randomseed
world.string = protect(world.string)
for _, library in next, {'table', 'math', 'coroutine'} do world[library] = protect(world[library]) end
for name, library in next, host.libraries do world[name] = protect(library) end
if host.handler then world.__redis__err__handler = host.handler end

-- What a library sees while it is loaded.
local nursery = {redis = protect(setmetatable(host.nursery, {__index = missing}))}
setmetatable(nursery, {__index = missing})

local outside = {__index = missing}
setmetatable(world, outside)
local environment = {}
local door = {__index = world, __newindex = changed}
world._G = environment
sources[environment] = world
metatables[environment] = protect(outside)
setmetatable(environment, door)

-- Who sees which world; what rawseti of the table library left in the shadows goes.
local function enter(is_loading)
    door.__index = is_loading and nursery or world
    sources[environment] = is_loading and nursery or world
end

local function sweep()
    for shadow in next, sources do
        for key in next, shadow do shadow[key] = nil end
    end
end

return world, environment, enter, sweep, xpcall
