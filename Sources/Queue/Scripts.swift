import Redis

/// The Lua scripts of the queue, each one atomic step on the keys of one queue.
///
/// They are written for Redis 7. The shebang makes Redis refuse an add before it has written anything when memory is
/// full, yet let a run end: otherwise the refusal would come in the middle of a script and a job would be in no list.
enum Scripts {
    static let addJobs = script("AddJobs", PackageResources.AddJobs_lua, worksWhenMemoryIsFull: false)
    static let turnOver = script("TurnOver", PackageResources.TurnOver_lua)
    static let renewLocks = script("RenewLocks", PackageResources.RenewLocks_lua)
    static let recoverStalled = script("RecoverStalled", PackageResources.RecoverStalled_lua)
    static let reclaimJobs = script("ReclaimJobs", PackageResources.ReclaimJobs_lua)
    static let countJobs = script("CountJobs", PackageResources.CountJobs_lua)
    static let keepBytes = script("KeepBytes", PackageResources.KeepBytes_lua)
    static let pauseQueue = script("PauseQueue", PackageResources.PauseQueue_lua)
    static let moveJobs = script("MoveJobs", PackageResources.MoveJobs_lua)
    static let removeJobs = script("RemoveJobs", PackageResources.RemoveJobs_lua)
    static let findJobs = script("FindJobs", PackageResources.FindJobs_lua)
    static let findJob = script("FindJob", PackageResources.FindJob_lua)
    static let noteJob = script("NoteJob", PackageResources.NoteJob_lua)
    static let upsertScheduler = script(
        "UpsertScheduler",
        PackageResources.UpsertScheduler_lua,
        worksWhenMemoryIsFull: false
    )
    static let advanceScheduler = script("AdvanceScheduler", PackageResources.AdvanceScheduler_lua)
    static let removeScheduler = script("RemoveScheduler", PackageResources.RemoveScheduler_lua)
    static let listSchedulers = script("ListSchedulers", PackageResources.ListSchedulers_lua)

    static let all = [
        addJobs, turnOver, renewLocks, recoverStalled, reclaimJobs, countJobs, pauseQueue, moveJobs, removeJobs,
        findJobs, keepBytes,
        findJob, noteJob, upsertScheduler, advanceScheduler, removeScheduler, listSchedulers,
    ]

    private static func script(_ name: String, _ body: [UInt8], worksWhenMemoryIsFull: Bool = true) -> RedisScript {
        let shebang = worksWhenMemoryIsFull ? "#!lua flags=allow-oom" : "#!lua"
        let common = String(decoding: PackageResources.Common_lua, as: UTF8.self)
        return RedisScript(name: name, source: "\(shebang)\n\(common)\n\(String(decoding: body, as: UTF8.self))")
    }
}
