extension Manifest {
    /// The database's address under the owner's role: for migrations, and so for no process that hosts functions.
    package static let ownerVariable = "DATABASE_OWNER_URL"

    /// The variables that a process sees which hosts these functions, in the order of the file: those that they use, and
    /// those that no function uses, which are the host's own.
    package func variables(hosting hosted: some Sequence<FunctionDeclaration>) -> [Variable] {
        let wanted = Set(hosted.flatMap(\.uses))
        let functional = Set(functions.flatMap(\.uses))
        return variables.filter { variable in
            wanted.contains(variable.name)
                || !functional.contains(variable.name) && variable.name != Self.ownerVariable
        }
    }
}
