-- Which peer gets a request: called by Nginx for each try of each request.
local set_current_peer, set_more_tries = balancer.set_current_peer, balancer.set_more_tries
local get_last_failure, clock = balancer.get_last_failure, ngx.now

local function usable(service, peer, at, tried)
    if tried and tried[peer.address] then return false end
    if peer.fails == 0 or service.max_fails == 0 or peer.fails < service.max_fails then
        return true
    end
    return at - peer.failed_at >= service.fail_timeout
end

local function round_robin(service, group, at, tried)
    local sequence, length = group.sequence, group.length
    if sequence then
        local i = group.at
        for _ = 1, length do
            i = i + 1
            if i > length then i = 1 end
            local peer = sequence[i]
            if usable(service, peer, at, tried) then
                group.at = i
                return peer
            end
        end
        return nil
    end
    local best, sum, current = nil, 0, group.current
    for i = 1, group.count do
        if usable(service, group.peers[i], at, tried) then
            local weight = group.weights[i]
            sum, current[i] = sum + weight, current[i] + weight
            if not best or current[i] > current[best] then best = i end
        end
    end
    if not best then return nil end
    current[best] = current[best] - sum
    return group.peers[best]
end

local function least_conn(service, group, at, tried)
    local best, least, count = nil, 0, group.count
    group.at = (group.at + 1) % count
    for n = 0, count - 1 do
        local i = (group.at + n) % count + 1
        local peer = group.peers[i]
        if usable(service, peer, at, tried) then
            local load = (peer.busy + 1) / group.weights[i]
            if not best or load < least then best, least = peer, load end
        end
    end
    return best
end

local function ip_hash(service, at, tried)
    local points = service.ring
    local client = ngx.var.binary_remote_addr or ""
    -- As Nginx does: of an IPv4 address the first three octets.
    local w, x, y, z = ngx.md5_bin(#client == 4 and client:sub(1, 3) or client):byte(1, 4)
    local hash = ((w * 256 + x) * 256 + y) * 256 + z
    local low, high = 1, #points
    while low < high do
        local middle = floor((low + high) / 2)
        if points[middle][1] < hash then low = middle + 1 else high = middle end
    end
    for n = 0, #points - 1 do
        local peer = points[(low + n - 1) % #points + 1][2]
        if usable(service, peer, at, tried) then return peer end
    end
end

-- The cookie shows in the answer where the location sends this variable.
local function bind(service, peer)
    local secure = ngx.var.https == "on" and "; Secure" or ""
    ngx.var.wharfinger_cookie = service.cookie .. "=" .. peer.id
        .. "; Path=/; HttpOnly; SameSite=Lax" .. secure
end

local function of_group(service, group, at, tried)
    if group.count == 0 then return nil end
    if service.balance == "least_conn" then return least_conn(service, group, at, tried) end
    return round_robin(service, group, at, tried)
end

local function chosen(service, at, tried)
    if service.bound then
        local peer = service.bound[ngx.var["cookie_" .. service.cookie] or ""]
        if peer and usable(service, peer, at, tried) then return peer, true end
    elseif service.ring and #service.ring > 0 then
        local peer = ip_hash(service, at, tried)
        if peer then return peer end
    end
    return of_group(service, service.primary, at, tried)
        or of_group(service, service.backup, at, tried)
end

-- Everybody has failed of late. Whom this request did not ask yet is a better answer than none;
-- and so is, when an idle connection had died, the very same peer over a new one.
local function last_resort(service, tried)
    local any
    for _, group in ipairs({ service.primary, service.backup }) do
        for _ = 1, group.count do
            group.at = group.at % group.count + 1
            local peer = group.peers[group.at]
            if not (tried and tried[peer.address]) then return peer end
            any = any or peer
        end
    end
    return any
end

local function count_failure(service, peer, at)
    if at - peer.failed_at >= service.fail_timeout then peer.fails = 0 end
    peer.fails, peer.failed_at = peer.fails + 1, at
end

-- Whom this request has asked, in turn: Nginx has them as "A, B : C".
local function asked() return (ngx.var.upstream_addr or ""):gmatch("[%x%.:%[%]]+") end

-- Which peers this request has tried; the last of them has failed.
local function after_failure(service, state, at)
    local tried, last = {}, nil
    for address in asked() do
        if service.known[address] then
            tried[address], last = true, service.known[address]
        end
    end
    if last and state == "failed" then count_failure(service, last, at) end
    return tried
end

local slots, slot_count = setmetatable({}, { __mode = "v" }), 0

local function let_go(held)
    local peer = held.slot > 0 and slots[held.slot]
    held.slot = 0
    if peer then peer.busy = peer.busy - 1 end
end

-- Where no log phase of ours tells the end of a request, the collector does.
local Held = ffi.metatype("struct { int slot; }", { __gc = let_go })

local function hold(peer)
    local held = ngx.ctx.wharfinger
    if held then let_go(held) else
        held = Held()
        ngx.ctx.wharfinger = held
    end
    if not peer.slot then
        slot_count = slot_count + 1
        peer.slot, slots[slot_count] = slot_count, peer
    end
    held.slot, peer.busy = peer.slot, peer.busy + 1
end

function M.done()
    local held = ngx.ctx.wharfinger
    if held then let_go(held) end
end

-- A request whose last try has failed: it asked for no other peer, so that nobody counted it.
function M.failed(name)
    local service, last = services[name], nil
    for address in asked() do last = address end
    local peer = service and service.known[last or ""]
    if peer then count_failure(service, peer, clock()) end
end

-- Who was cut off from all peers has learned nothing of them.
local function forget_failures(service)
    local forgets = dict:get("forgets")
    if forgets == service.forgets then return end
    service.forgets = forgets
    for _, peer in pairs(service.known) do peer.fails = 0 end
end

local function refreshed(service, version)
    forget_failures(service)
    local entry = dict:get(service.key)
    local stamp, text
    if entry then stamp, text = entry:match("^(%d+) (.*)") end
    stamp = tonumber(stamp)
    if stamp and stamp >= service.stamp then
        if text ~= service.text then
            local new = built(service.name, text, service.known)
            if new then
                new.forgets = service.forgets
                services[service.name] = new
                service = new
            end
        end
        service.stamp = stamp
    end
    service.version = version
    return service
end

function M.seed(name, stamp, pieces)
    local service = built(name, table.concat(pieces, "|"), {})
    if not service then error("the seed of " .. name .. " is damaged") end
    service.stamp = stamp
    services[name] = service
end

-- One addition under the lock that every request takes anyhow. Where the memory is full nothing is
-- put out for a number.
local function count_request(service)
    if not dict:incr(service.count, 1) then dict:safe_add(service.count, 1) end
end

function M.go(name)
    local service = services[name]
    if not service then return false end
    -- Each request asks: what was pushed is served by every worker from that moment on.
    local version = dict:get("v") or 0
    if version ~= service.version then service = refreshed(service, version) end
    local at, tried = clock(), nil
    local state = get_last_failure()
    if state then tried = after_failure(service, state, at) else count_request(service) end
    local peer, bound = chosen(service, at, tried)
    if not peer then peer = last_resort(service, tried) end
    if not peer then
        assert(set_current_peer(service.grpc and M.nobody_grpc or M.nobody, M.nobody_port))
        return true
    end
    if not state and service.tries > 1 then set_more_tries(service.tries - 1) end
    if service.balance == "least_conn" then hold(peer) end
    if service.bound and not bound then pcall(bind, service, peer) end
    assert(set_current_peer(peer.host, peer.port))
    return true
end
