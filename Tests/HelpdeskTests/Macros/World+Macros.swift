import Functions

extension World {
    /// The id of a new macro.
    func macro(_ caller: Caller, _ content: String, _ actions: JSON = [], name: String = "Refund") async throws
        -> String
    {
        let body: JSON = ["name": .string(name), "content": .string(content), "actions": actions]
        return try await call("create-macro", as: caller, body: body).text("id")
    }

    /// Sends a message made of a macro.
    func run(_ macro: String, on ticket: String, as caller: Caller, _ more: [JSON.Member] = []) async throws -> Reply {
        let body: JSON = .object([.init("macroId", .string(macro))] + more)
        return try await call("send-message", as: caller, path: ["ticketId": ticket], body: body)
    }
}
