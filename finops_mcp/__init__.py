"""The questions of the API as tools of an assistant, over the Model Context Protocol. Started by `finops mcp`.

It asks the API as any caller does, through `finops_client`: the key it holds says what it may see, and the API counts,
limits and writes down what it asks. There is no SQL here, and nothing that changes anything.
"""
