def pytest_addoption(parser):
    parser.addoption("--models", default=None, help="a folder of trained models to compare with onnxruntime")
