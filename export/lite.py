def export_lite(endpoints, output, version=None):
    raise ValueError("not yet")
