-- The world scripts see: Lua's own functions that are allowed, behind tables nobody can change.
--
-- Lua 5.1 has no read-only tables. A table to be protected is hidden behind an empty one, its shadow, whose metatable
-- reads from it and refuses writes. What would look past a metatable (next, pairs, rawget, rawset, getmetatable,
-- setmetatable) knows shadows. Compiled once per interpreter; `native` holds Lua's globals, `host` functions of Rust.
local native, host = ...
local error, type, tostring, rawget, rawset = native.error, native.type, native.tostring, native.rawget, native.rawset
local next, pairs, pcall, xpcall, select = native.next, native.pairs, native.pcall, native.xpcall, native.select
local getmetatable, setmetatable, loadstring = native.getmetatable, native.setmetatable, native.loadstring
local resume, concat, byte = native.coroutine.resume, native.table.concat, native.string.byte
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

-- What Lua says of an argument of another type.
local function refuse(name, wanted, value)
    error("bad argument #1 to '" .. name .. "' (" .. wanted .. ' expected, got ' .. type(value) .. ')', 3)
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

function world.next(t, key)
    if type(t) ~= 'table' then refuse('next', 'table', t) end
    return next(sources[t] or t, key)
end

local peek = world.next
function world.pairs(t)
    local source = sources[t]
    if source then return peek, t, nil end
    if type(t) ~= 'table' then refuse('pairs', 'table', t) end
    return next, t, nil
end

function world.rawget(t, key)
    if type(t) ~= 'table' then refuse('rawget', 'table', t) end
    return rawget(sources[t] or t, key)
end

function world.rawset(t, key, value)
    if sources[t] then error('Attempt to modify a readonly table', 0) end
    if type(t) ~= 'table' then refuse('rawset', 'table', t) end
    return rawset(t, key, value)
end

local string_metatable = protect({__index = world.string})
function world.getmetatable(value)
    if sources[value] then return metatables[value] end
    if type(value) == 'string' then return string_metatable end
    return getmetatable(value)
end

function world.setmetatable(t, metatable)
    if sources[t] then error('Attempt to modify a readonly table', 0) end
    if type(t) ~= 'table' then refuse('setmetatable', 'table', t) end
    if metatable ~= nil and type(metatable) ~= 'table' then
        error("bad argument #2 to 'setmetatable' (nil or table expected)", 2)
    end
    if getmetatable(t) ~= nil and not pcall(setmetatable, t, metatable) then
        error('cannot change a protected metatable', 2)
    end
    -- A shadow as a metatable works as what is behind it would, which its holder cannot reach by it.
    return setmetatable(t, sources[metatable] or metatable)
end

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

function world.xpcall(f, ...)
    if select('#', ...) == 0 then error("bad argument #2 to 'xpcall' (value expected)", 2) end
    local handler = ...
    -- Lua calls a handler without looking at the time: none runs in a script that is being ended.
    return xpcall(f, function(err)
        err = plain(err)
        if doomed() then return err end
        return handler(err)
    end)
end

local function resumed(ok, ...)
    if ok then return ok, ... end
    return ok, plain((...))
end

function world.coroutine.resume(...)
    return resumed(resume(...))
end

-- Compiled code can do anything to the process: only text is taken.
function world.loadstring(text, name)
    if type(text) == 'number' then text = tostring(text) end
    if type(text) ~= 'string' then refuse('loadstring', 'string', text) end
    if byte(text) == 27 then return nil, 'bad header in precompiled chunk' end
    return loadstring(text, name)
end

function world.load(source, name)
    if type(source) ~= 'function' then refuse('load', 'function', source) end
    local pieces = {}
    while true do
        local piece = source()
        if piece == nil or piece == '' then break end
        if type(piece) ~= 'string' then return nil, 'reader function must return a string' end
        pieces[#pieces + 1] = piece
    end
    local text = concat(pieces)
    if byte(text) == 27 then return nil, 'bad header in precompiled chunk' end
    return loadstring(text, name or '=(load)')
end

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
