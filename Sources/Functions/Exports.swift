// Inputs, answers and jobs are JSON: who imports the contract has it.
@_exported public import JSON
